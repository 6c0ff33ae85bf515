"""Message brokers of their own, on free ports, in folders that go with them: RabbitMQ and Redis."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchmarks.harness.running_service import free_port
from generation.processes import lifeline

SECONDS_TO_START = 240.0
DEBIANS = "/usr/lib/rabbitmq/lib"  # a folder for each version; the programs in the PATH change the user


class Broker:
    """``start`` and ``stop`` may be called again and again: the port stays."""

    log: IO[bytes] | None = None  # of one that says too much

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        """``host``: the address on which it listens."""
        self.folder, self.host, self.port = folder, host, free_port()
        self.processes: list[subprocess.Popen] = []

    def start(self) -> None:
        """Until it answers."""
        self.begin()
        end = time.monotonic() + SECONDS_TO_START
        while not self.answers():
            if self.processes[-1].poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{type(self).__name__} doesn't start; its reason is above")
            time.sleep(0.1)

    def run(self, command: list, user: dict | None = None, **environment: str) -> None:
        self.processes.append(
            subprocess.Popen(
                lifeline.tied([str(word) for word in command]),
                cwd="/",
                env=os.environ | environment,
                start_new_session=True,  # a Ctrl-C at the terminal is for the tests, which end it at last
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.log,
                **(user or {}),
            )
        )

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(60)
        self.processes.clear()


class Redis(Broker):
    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def begin(self) -> None:
        program = shutil.which("redis-server")
        if not program:
            raise FileNotFoundError("Redis is missing: apt-get install redis-server")
        command = [program, "--port", self.port, "--bind", self.host, "--dir", self.folder]
        self.run([*command, "--save", "", "--appendonly", "no", "--protected-mode", "no"])

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 5) as asking:
            asking.sendall(b"PING\r\n")
            return asking.recv(16).startswith(b"+PONG")
        return False


class RabbitMQ(Broker):
    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        super().__init__(folder, host)
        self.port_of_node, self.port_of_names = free_port(), free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}//"

    def begin(self) -> None:
        folders = sorted(Path(DEBIANS).glob("rabbitmq_server-*"))
        if not folders:
            raise FileNotFoundError("RabbitMQ is missing: apt-get install rabbitmq-server")
        user = {}
        if not os.geteuid():
            row = pwd.getpwnam("rabbitmq")
            user = {"user": row.pw_uid, "group": row.pw_gid, "extra_groups": []}
            os.chown(self.folder, row.pw_uid, row.pw_gid)
        # Erlang would start this one by itself, and leave it behind.
        self.run(["epmd", "-port", self.port_of_names, "-address", "127.0.0.1"], user)
        (self.folder / "plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text("loopback_users = none\n")
        for name in ("plugins", "rabbitmq.conf"):
            os.chmod(self.folder / name, 0o644)
        self.run(
            [folders[-1] / "sbin" / "rabbitmq-server"],
            user,
            HOME=str(self.folder),
            ERL_EPMD_PORT=str(self.port_of_names),
            RABBITMQ_NODENAME=f"cartolina{self.port}@localhost",
            RABBITMQ_NODE_IP_ADDRESS=self.host,
            RABBITMQ_NODE_PORT=str(self.port),
            RABBITMQ_DIST_PORT=str(self.port_of_node),
            RABBITMQ_MNESIA_BASE=str(self.folder / "rows"),
            RABBITMQ_LOG_BASE=str(self.folder / "log"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.folder / "plugins"),
            RABBITMQ_CONFIG_FILE=str(self.folder / "rabbitmq.conf"),
            RABBITMQ_LOGS="-",
        )

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 5) as asking:
            asking.sendall(b"AMQP\x00\x00\x09\x01")
            return asking.recv(1) == b"\x01"
        return False


BROKERS = {"redis": Redis, "rabbitmq": RabbitMQ}


@contextlib.contextmanager
def running(name: str) -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix=f"cartolina-{name}-") as folder:
        broker = BROKERS[name](Path(folder))
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()
