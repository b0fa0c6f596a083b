# Sourced by suites that are lists of checks: `check "claim" command …` runs the command and counts;
# `finish_checks` prints the counts and ends the script.
checks_passed=0
checks_failed=0

check() {
    local claim=$1 output
    shift
    if output=$("$@" 2>&1); then
        checks_passed=$((checks_passed + 1))
        echo "ok: $claim${output:+ ($(tail -n 1 <<<"$output"))}"
    else
        checks_failed=$((checks_failed + 1))
        echo "FAILED: $claim"
        sed 's/^/    /' <<<"$output"
    fi
}

finish_checks() {
    echo "$checks_passed passed, $checks_failed failed"
    [ "$checks_failed" = 0 ]
    exit
}
