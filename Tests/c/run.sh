#!/bin/sh
# Compiles the C tests with the system's compilers against a header and a library, and runs them.
#
#   run.sh LIBDIR INCLUDEDIR
#
# CC and CXX name other compilers, FUZZ_INPUTS a longer fuzz run, FUZZ_SEED another one. Closes with
# the line "N passed, N failed"; the exit status is 0 only when nothing failed.
set -u
libraries=$(cd "$1" && pwd) || exit 2
headers=$(cd "$2" && pwd) || exit 2
tests=$(cd "$(dirname "$0")" && pwd) || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT INT TERM
CC=${CC:-cc}
CXX=${CXX:-c++}
strict='-Wall -Wextra -Werror -pedantic'
passed=0
failed=0

# claim TEXT COMMAND...: one test that passes when the command succeeds.
claim() {
    text=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $text"
        cat "$work/output"
    fi
}

# program NAME ARGUMENTS...: builds and runs one of the programs and adds up its last line.
program() {
    name=$1
    shift
    # shellcheck disable=SC2086
    if ! $CC -std=gnu11 $strict -O1 -g -pthread -I"$headers" "$tests/$name.c" -o "$work/$name" \
        -L"$libraries" -ladmission -Wl,-rpath,"$libraries" >"$work/output" 2>&1; then
        failed=$((failed + 1))
        echo "failed: $name.c compiles"
        cat "$work/output"
        return
    fi
    "$work/$name" "$@" >"$work/output" 2>&1
    status=$?
    cat "$work/output"
    counts=$(sed -n "s/^$name: \([0-9]*\) passed, \([0-9]*\) failed\$/\1 \2/p" "$work/output" | tail -1)
    if [ -z "$counts" ]; then
        failed=$((failed + 1))
        echo "failed: $name ends by itself (status $status)"
        return
    fi
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
}

# shellcheck disable=SC2086
for standard in c99 c11 c17; do
    claim "the header is strict $standard" \
        $CC -std=$standard $strict -Wshadow -Wconversion -I"$headers" "$tests/header.c" -o "$work/header"
    claim "the macros hold in $standard" "$work/header"
done
# shellcheck disable=SC2086
claim "the header is strict C++17" \
    $CXX -x c++ -std=c++17 $strict -Wshadow -Wconversion -I"$headers" "$tests/header.c" -o "$work/header"
claim "the macros hold in C++17" "$work/header"
# shellcheck disable=SC2086
for standard in c11 c17; do
    claim "every field is where $standard callers have it, without padding" \
        $CC -std=$standard $strict -Wpadded -I"$headers" "$tests/layout.c" -o "$work/layout"
done

program statuses
program permits
program lifetimes
program threads
program names
program bounds
program allocations
program processes
program fuzz "${FUZZ_INPUTS:-1000000}" "${FUZZ_SEED:-20260115}"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
