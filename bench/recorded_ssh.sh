#!/bin/sh
# Replaces ssh for bench/fleet.py: records the answer of a host to each command, or replays the recorded answers with their duration.
# The n-th command to any host gets the n-th answer.
#
#   SSH_RECORDING  directory of the recording
#   SSH_RECORDS    if set, record: the commands go to the host; otherwise replay
set -eu

for word; do
    host=${command-}
    command=$word
done
case $command in
    "/bin/sh -c "*) ;;
    *) exec ssh "$@" ;; # not a command of Ansible
esac

counter=$SSH_RECORDING/count-$host
number=$(cat "$counter" 2>/dev/null || echo 0)
echo $((number + 1)) >"$counter"
answer=$SSH_RECORDING/answer-$number

if [ -n "${SSH_RECORDS-}" ]; then
    began=$(date +%s%3N)
    status=0
    ssh "$@" >"$answer" || status=$?
    took=$(($(date +%s%3N) - began))
    echo "$((took / 1000)).$(printf %03d $((took % 1000))) $status" >"$answer.took"
else
    cat >/dev/null # discard the module
    read -r took status <"$answer.took"
    sleep "$took"
fi
cat "$answer"
exit "$status"
