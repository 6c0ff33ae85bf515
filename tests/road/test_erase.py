"""A few of the erasures of benchmarks/erase.py, on the real processes: nothing of an erased face is left."""

import subprocess
import sys

import pytest

from benchmarks.harness import ROOT

pytestmark = pytest.mark.slow


def test_faces_erased_at_every_stage_leave_nothing():
    command = [sys.executable, "-m", "benchmarks.erase", "--count", "14", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "14 faces erased: nothing is left of them" in done.stdout
