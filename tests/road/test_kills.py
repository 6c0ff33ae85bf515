"""A few of the kills of benchmarks/kills.py: every job that was accepted ends, and nothing is left."""

import os
import subprocess
import sys

import pytest

from benchmarks.harness import ROOT

pytestmark = pytest.mark.slow


def test_kills_lose_and_double_nothing():
    command = [sys.executable, "-m", "benchmarks.kills", "--rounds", "3", "--seed", "7"]
    environment = os.environ | {"TRAINING_STEPS": "40"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none lost, doubled or stuck" in done.stdout
