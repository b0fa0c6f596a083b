#!/bin/sh
# Compares the ids that the three scenario runners printed into LOGs, with each other and with the
# table's own list. Usage: compare.sh LOG…
set -eu
table=${ADMISSION_SCENARIOS:-$(dirname "$0")/core.cases}
expected=$(sed -n 's/^ids //p' "$table" | tr ' ' '\n' | sort -u | tr '\n' ' ')
failed=0
for runner in swift,\ memory swift,\ file c,\ memory c,\ file python,\ memory python,\ file; do
    line=$(cat "$@" | sed -n "s/^.*scenarios core ($runner): //p" | tail -n 1)
    ids=$(printf '%s\n' "$line" | tr -s ' ' '\n' | sed '/^$/d' | sort -u | tr '\n' ' ')
    if [ -z "$line" ]; then
        echo "scenarios: no line of the runner ($runner) in $*" >&2
        failed=1
    elif [ "$ids" != "$expected" ]; then
        echo "scenarios: ($runner) ran other ids than $table lists:" >&2
        echo "  ran:    $ids" >&2
        echo "  listed: $expected" >&2
        failed=1
    fi
done
if [ "$failed" -eq 0 ]; then
    echo "scenarios: swift, c and python ran the same $(echo "$expected" | wc -w) ids on memory and file"
    echo "1 passed, 0 failed"
else
    echo "0 passed, 1 failed"
fi
exit "$failed"
