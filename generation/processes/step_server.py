"""A server process that does one step per request, and its client. Imports no torch.

The server's standard input is a socket for requests. A request is a JSON object with three file descriptors:
the step's stdout, the step's stderr, and a socket for the answers. The first answer comes with a descriptor
(pidfd_open(2)) of the process that does the step. The second answer is the step's exit status. The server
ends when the client closes the socket for requests. If the client is killed, the kernel closes it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from generation.models.profiles import ModelProfile, ModelRef
from generation.processes import lifeline, omp
from generation.processes.polling import OnWait, read_lines, wait_until_readable
from generation.processes.streams import log_to_stderr

ROOT = Path(__file__).resolve().parent.parent.parent
# No step needs these variables. Without them, a security hole in a step's library can't reveal the secrets.
SECRETS = {"SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "METRICS_TOKEN", "CALLBACK_TOKEN"}
END_SECONDS = 5.0  # from SIGTERM until a process gets SIGKILL
_LONGEST = 16_384  # the largest message, in bytes
OnLine = Callable[[str], None]
log = logging.getLogger(__name__)


# --- the client's end ---------------------------------------------------------------------------------------


class Server:
    """The client of one server process, ``python -m MODULE PROFILE STEP...``.

    It starts the process when none runs, and starts a new one when models or settings have changed.
    """

    def __init__(self, module: str, steps: list[str]):
        self.module, self.steps = module, steps
        self.process: subprocess.Popen | None = None
        self._control: socket.socket | None = None
        self._started_with: object = None
        self._turn = threading.RLock()  # one step at a time, whichever thread asks

    def start(self, profile: ModelProfile) -> None:
        """Start the process if needed. Returns at once: requests wait in the socket until it is ready."""
        wanted = (profile, models_stamp(profile), os.environ.get("TEMPLATE_MEMORY_MB"))
        with self._turn:
            if self.process and self.process.poll() is None and wanted == self._started_with:
                return
            self.close()
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self.process = start_module([self.module, profile.name, *self.steps], theirs, 2, 2)
            self._started_with = wanted

    def run(
        self, profile: ModelProfile, name: str, job: Path, stderr: IO, on_line: OnLine, on_wait: OnWait
    ) -> int:
        """Do step ``name`` in the server. Returns its exit status, or minus the signal that ended it.

        ``on_line`` gets each line of the step's stdout. ``on_wait`` is called at least every 0.3 s. Both may
        raise an exception: the step's process has ended when the exception leaves this call. If the server
        dies before it begins the step, it is started once more.
        """
        request = {"step": name, "job": str(job.resolve()), "requested_at": time.monotonic()}
        with self._turn:
            for _ in range(2):
                self.start(profile)
                process = self.process
                status = self._ask(request, stderr, on_line, on_wait)
                if status is not None:
                    return status
        if process.returncode < 0:
            return process.returncode
        print(f"{self.module} ended before the step began; the log tells why", file=stderr, flush=True)
        return 1

    def _ask(self, request: dict, stderr: IO, on_line: OnLine, on_wait: OnWait) -> int | None:
        """The step's exit status; None if the server ended before it began the step."""
        worker, done = None, False
        answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        read, write = os.pipe()
        with answers, open(read, "rb") as lines:
            try:
                with theirs, open(write, "wb") as stdout:
                    descriptors = [stdout.fileno(), stderr.fileno(), theirs.fileno()]
                    with contextlib.suppress(OSError):  # it has ended; so does the next wait
                        socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
                wait_until_readable(answers.fileno(), on_wait)
                worker = _receive_descriptor(answers)
                if worker is None:
                    return None
                for line in read_lines(lines.fileno(), on_wait):
                    on_line(line)
                wait_until_readable(answers.fileno(), on_wait)
                answer = answers.recv(_LONGEST)
                if not answer:
                    return self.process.wait() or 1
                done = True
                return int(answer)
            finally:
                if worker is None:
                    self.close()  # nobody else knows whether the step has begun
                    _wait_for_end_of(lines.fileno())
                else:
                    if not done:
                        _end_by_descriptor(worker)
                    os.close(worker)

    def close(self) -> None:
        """End the server, and with it a step that is running."""
        if self._control:
            self._control.close()
        if self.process:
            end(self.process)
        self.process = self._control = None


def start_module(arguments: list[str], stdin, stdout, stderr) -> subprocess.Popen:
    inherited = {name: value for name, value in os.environ.items() if name not in SECRETS}
    environment = inherited | omp.waiting() | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def end(process: subprocess.Popen) -> None:
    """Send SIGTERM. If the process hasn't ended after ``END_SECONDS``, send SIGKILL."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_by_descriptor(worker: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(worker, number)
        if select.select([worker], [], [], END_SECONDS)[0]:  # readable: it has ended
            return


def _wait_for_end_of(stdout: int) -> None:
    """Wait until the last process that has this pipe open for writing has ended, at most ``END_SECONDS``.

    A child that was forked just before its template ended needs a moment longer to end.
    """
    deadline = time.monotonic() + END_SECONDS
    while select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if not os.read(stdout, 65_536):
            return


def _receive_descriptor(answers: socket.socket) -> int | None:
    with contextlib.suppress(ConnectionError):
        _, descriptors, _, _ = socket.recv_fds(answers, _LONGEST, 1)
        if descriptors:
            return descriptors[0]
    return None


def models_stamp(profile: ModelProfile) -> list[tuple]:
    """A value that changes when a file of the profile's models changes. It has the names, sizes and times of
    the files in local folders, and the commits of models from the Hub."""
    models = (profile.inpaint_model, profile.controlnet_model, profile.detail_model)
    return [stamp for model in dict.fromkeys(models) for stamp in _stamps(model)]


def _stamps(model: ModelRef) -> list[tuple]:
    if model.is_local:
        found = [(path, path.stat()) for path in sorted(Path(model.id).rglob("*")) if path.is_file()]
        return [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in found]
    return [(str(model),)]


# --- the process's end --------------------------------------------------------------------------------------


@dataclass
class Request:
    step: str
    job: Path
    requested_at: float  # time.monotonic()
    stdout: int
    stderr: int
    answers: socket.socket

    def take_over_streams(self) -> None:
        """Use the step's stdout and stderr as this process's own from now on."""
        os.dup2(self.stdout, 1)
        os.dup2(self.stderr, 2)
        self.close_streams()

    def close_streams(self) -> None:
        os.close(self.stdout)
        os.close(self.stderr)

    def begins(self, pid: int) -> None:
        """Tell the client which process does the step."""
        worker = os.pidfd_open(pid)
        with contextlib.suppress(OSError):  # the client is gone
            socket.send_fds(self.answers, [b"begins"], [worker])
        os.close(worker)

    def ended(self, status: int) -> None:
        with contextlib.suppress(OSError):
            self.answers.send(str(status).encode())
        self.answers.close()


def begin_serving() -> socket.socket:
    """The socket for requests. A process that a ``Server`` has started calls this before anything else."""
    lifeline.die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # a shell may have had them ignored
    log_to_stderr()
    control = socket.socket(fileno=os.dup(0))
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    return control


def receive(control: socket.socket) -> Request | None:
    """The next request; None when the client has closed the socket."""
    message, descriptors, _, _ = socket.recv_fds(control, _LONGEST, 3)
    if not message:
        return None
    values = json.loads(message)
    stdout, stderr, answers = descriptors
    return Request(
        step=values["step"],
        job=Path(values["job"]),
        requested_at=values["requested_at"],
        stdout=stdout,
        stderr=stderr,
        answers=socket.socket(fileno=answers),
    )
