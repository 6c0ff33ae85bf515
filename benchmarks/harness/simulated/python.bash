#!/bin/bash
# The trainer's Python of a simulated worker.
case $1 in
  */train_network.py)
    export PYTHONPATH=${0%/*}/../../..
    exec "$REAL_PYTHON" -m benchmarks.harness.simulated.trainer "$@"
    ;;
  */choose-checkpoint.py) exit 1 ;; # launch.bash takes the last one then
  *) exec "$REAL_PYTHON" "$@" ;;
esac
