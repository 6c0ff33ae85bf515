"""`make run` keeps what it has started running, and ends when it is told to."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def supervised(tmp_path):
    """Starts restart-if-killed.bash around a shell's commands, which write their process ids to ``pids``."""
    started = []

    def start(commands: str) -> subprocess.Popen:
        script = f"echo $$ >> {tmp_path}/pids\n{commands}"
        command = [ROOT / "restart-if-killed.bash", "bash", "-c", script]
        started.append(
            subprocess.Popen(
                command,
                start_new_session=True,
                stderr=subprocess.DEVNULL,
                # A shell can't trap a signal that was ignored when it began, as SIGINT is in the background.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def pids(folder: Path, number: int) -> list[int]:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if (folder / "pids").exists():
            found = [int(line) for line in (folder / "pids").read_text().split()]
            if len(found) >= number:
                return found
        time.sleep(0.02)
    raise AssertionError(f"it was not started {number} times")


def test_a_worker_that_is_killed_is_started_again(supervised, tmp_path):
    process = supervised("sleep 60")
    os.kill(pids(tmp_path, 1)[0], signal.SIGKILL)
    assert len(pids(tmp_path, 2)) == 2 and process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)  # as honcho does
    process.wait(30)
    assert len(pids(tmp_path, 2)) == 2


@pytest.mark.parametrize("status", [0, 1, 130])
def test_one_that_ends_by_itself_is_not(supervised, tmp_path, status):
    """130: Ctrl-C, which the terminal sends to both of them."""
    ending = "kill -INT 0" if status == 130 else f"exit {status}"
    assert supervised(ending).wait(30) == status
    assert len(pids(tmp_path, 1)) == 1


def test_every_process_of_make_run_is_kept_running():
    for line in (ROOT / "Procfile").read_text().splitlines():
        assert "./restart-if-killed.bash" in line
