"""A PostgreSQL server of its own: on a free port, in a folder that goes with it, as a user without rights."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.running_service import free_port
from generation.processes import lifeline

USER = "cartolina"
SECONDS_TO_START = 60.0
DEBIANS = "/usr/lib/postgresql"
OPTIONS = {
    "unix_socket_directories": "",
    "fsync": "off",  # nothing here has to survive a power cut
    "log_min_messages": "fatal",
}


def programs() -> Path:
    """The folder with the server's programs. Debian keeps them out of the PATH, a folder for each version."""
    folders = sorted(Path(DEBIANS).glob("*/bin"))
    found = folders[-1] / "postgres" if folders else shutil.which("postgres")
    if not found:
        raise FileNotFoundError("PostgreSQL's server is missing: apt-get install postgresql")
    return Path(found).parent


def unprivileged() -> dict:
    """For subprocess: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Server:
    def __init__(self, folder: Path, host: str = "127.0.0.1", **options: str) -> None:
        """``host``: the address on which it listens. Everybody who reaches it is let in."""
        self.folder, self.host, self.port = folder, host, free_port()
        self.options = OPTIONS | {"listen_addresses": host} | options
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"postgres://{USER}@{self.host}:{self.port}/postgres"

    def make(self) -> None:
        if user := unprivileged():
            os.chown(self.folder, user["user"], user["group"])
        command = [programs() / "initdb", "--pgdata", self.folder, "--username", USER, "--auth", "trust"]
        command += ["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL, **unprivileged())
        with (self.folder / "pg_hba.conf").open("a") as file:
            file.write("host all all samenet trust\n")

    def start(self) -> None:
        """Until it takes connections."""
        settings = [f"--{name}={value}" for name, value in self.options.items()]
        command = [programs() / "postgres", "-D", self.folder, f"--port={self.port}", *settings]
        # A session of its own: a Ctrl-C at the terminal is for the tests, which end the server at last.
        self.process = subprocess.Popen(
            lifeline.tied([str(word) for word in command]),
            cwd="/",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            **unprivileged(),
        )
        ready = [programs() / "pg_isready", "--quiet", "--dbname", self.url]
        end = time.monotonic() + SECONDS_TO_START
        while subprocess.run(ready).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("PostgreSQL doesn't start; its reason is above")
            time.sleep(0.1)

    def stop(self) -> None:
        """At once: open transactions are taken back, clients lose their connections."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


@contextlib.contextmanager
def running(**options: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="cartolina-postgresql-") as folder:
        server = Server(Path(folder), **options)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
