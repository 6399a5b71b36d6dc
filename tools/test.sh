#!/bin/sh
# test.sh PART...: run `make PART` for each, all of them even when one fails, and sum up. `molecule:NAME` is one scenario.
set -u
cd "$(dirname "$0")/.." || exit

passed=0 failed=0 summary='' begun=$(date +%s)
for part in "$@"; do
    printf '\n==> make %s\n' "$part"
    start=$(date +%s)
    case $part in
        molecule:*) make --no-print-directory molecule SCENARIO="${part#molecule:}" ;;
        *) make --no-print-directory "$part" ;;
    esac
    # shellcheck disable=SC2181 # the status of whichever ran
    if [ $? = 0 ]; then passed=$((passed + 1)) outcome=passed; else failed=$((failed + 1)) outcome=FAILED; fi
    summary="$summary$(printf '  %-20s %s in %s s' "$part" "$outcome" $(($(date +%s) - start)))
"
done

printf '\n==> make test\n%s' "$summary"
echo "$passed passed, $failed failed in $(($(date +%s) - begun))s"
[ $failed = 0 ]
