"""Machines on one machine: each has its own network and clock, and sees no process of another.

For root on Linux. The network is a bridge, and each machine is a namespace with a cable to it. This process
and the servers that it starts are on the bridge too, with an address for each server.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

SERVERS = ("database", "broker", "storage", "client")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Network:
    def __init__(self) -> None:
        self.number = os.getpid() % 250
        self.bridge = f"cartolina{self.number}"
        self.machines: list[str] = []

    def address(self, name: str) -> str:
        """Of a server or a machine."""
        number = SERVERS.index(name) + 1 if name in SERVERS else 11 + self.machines.index(name)
        return f"10.77.{self.number}.{number}"

    @property
    def range(self) -> str:
        return f"10.77.{self.number}.0/24"

    def begin(self) -> None:
        _ip("link", "add", self.bridge, "type", "bridge")
        for name in SERVERS:
            _ip("addr", "add", f"{self.address(name)}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")

    def end(self) -> None:
        for name in self.machines:
            for server in SERVERS:
                self.join(name, server)
            subprocess.run(["ip", "netns", "del", self._space(name)], check=False)
        _ip("link", "del", self.bridge)

    def _space(self, name: str) -> str:
        return f"{self.bridge}-{name}"

    def _plug(self, name: str) -> str:
        return f"ca{self.number}-{self.machines.index(name)}"

    def add(self, name: str) -> None:
        """A machine."""
        self.machines.append(name)
        space, plug = self._space(name), self._plug(name)
        _ip("netns", "add", space)
        _ip("link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", space, "link", "set", device, "up")
        _ip("link", "set", plug, "up")
        self.plug_in(name)

    # --- faults: nothing is told to either side ------------------------------------------------------------

    def plug_in(self, name: str) -> None:
        _ip("link", "set", self._plug(name), "master", self.bridge)

    def unplug(self, name: str) -> None:
        """The machine reaches nobody."""
        _ip("link", "set", self._plug(name), "nomaster")

    def cut(self, name: str, server: str) -> None:
        """No answer of the server's reaches the machine. What the machine has sent may be done."""
        _ip("rule", "add", "from", self.address(server), "to", self.address(name), "blackhole")

    def join(self, name: str, server: str) -> None:
        rule = ["from", self.address(server), "to", self.address(name), "blackhole"]
        subprocess.run(["ip", "rule", "del", *rule], check=False, stderr=subprocess.DEVNULL)

    # --- processes -----------------------------------------------------------------------------------------

    def command(self, name: str, command: list[str]) -> list[str]:
        """The command on a machine that has just booted: when its process ends, all others end with it."""
        return ["ip", "netns", "exec", self._space(name), *BOOT, *command]


BOOT = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]


def clock(folder: Path, seconds: int) -> dict[str, str]:
    """The environment of a machine whose clock is ahead by so many seconds. ``folder``: for a library."""
    if not seconds:
        return {}
    library = folder / "wrong_clock.so"
    if not library.exists():
        source = Path(__file__).with_name("wrong_clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SECONDS_AHEAD": str(seconds)}


@contextlib.contextmanager
def network() -> Iterator[Network]:
    made = Network()
    made.begin()
    try:
        yield made
    finally:
        made.end()
