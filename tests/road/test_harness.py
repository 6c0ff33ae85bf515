"""The service that tests and benchmarks start."""

import signal
import subprocess
import sys

import psutil
import pytest

from benchmarks.harness import ROOT

STARTS = """
import sys, time
from pathlib import Path
from benchmarks.harness.running_service import RunningService
service = RunningService(Path(sys.argv[1]), small=False)
service.tend()
print(*(process.pid for process in service.processes.values()), flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_service_ends_when_its_starter_is_killed(tmp_path):
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        started = [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]
        assert len(started) == 2
    finally:
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    _, alive = psutil.wait_procs(started, timeout=60)
    for process in alive:
        process.kill()
    assert not alive
