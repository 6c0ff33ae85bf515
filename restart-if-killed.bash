#!/bin/bash
# restart-if-killed.bash COMMAND...: runs the command, and again if it was killed, by the kernel for want of
# memory, say. It ends when the command ends by itself, or when the two of them get SIGINT or SIGTERM.
set -uo pipefail

is_ending=
trap 'is_ending=1' INT TERM
while [ -z "$is_ending" ]; do
  "$@"
  status=$?
  [ "$status" -gt 128 ] || break
  [ -z "$is_ending" ] || break
  echo "killed by signal $((status - 128)), starting it again" >&2
  sleep 1
done
exit "$status"
