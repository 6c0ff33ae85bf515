"""A fleet on one machine: web servers and simulated workers as machines of a network, which share nothing but
PostgreSQL, a broker and an S3 server, all of them real."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests

from benchmarks.harness import ROOT, brokers, machines, object_storage, postgresql
from benchmarks.harness.machines import Network
from benchmarks.harness.running_service import SECRET_KEY, WISH, RunningService, words_of
from benchmarks.harness.simulated.steps import VARIABLE
from benchmarks.harness.small_disks import small_disk

CELERY = ["-m", "celery", "-A", "benchmarks.harness.simulated.celery", "--quiet", "worker", "-n"]
WEB = ["manage.py", "web", "--bind", "0.0.0.0:8000", "--threads", "6"]
# By machine: what runs on it, and by how many seconds its clock is ahead.
MACHINES = {
    "web1": (WEB, 0),
    "web2": (WEB, 300),
    "webhooks": (["manage.py", "send_webhooks"], -300),
    "trainer": ([*CELERY, "trainer@fleet", "-Q", "train"], 0),
    "painter": ([*CELERY, "painter@fleet", "-Q", "pose,detail,harmonize"], 300),
    "face": ([*CELERY, "face@fleet", "-Q", "face"], -300),
    "all": (["-m", "benchmarks.harness.simulated.worker"], 0),
}
CELERYS = ("trainer", "painter", "face")
SECONDS = {"pose": 1.5, "detail": 0.8, "harmonize": 0.8, "face": 1.5, "train": 12}
ROLES = {"sleep": "step", "launch.bash": "bash", "simulated.trainer": "trainer", "post-back.py": "post-back"}
STORAGE_MB = 300


class Fleet:
    """``tend`` starts what doesn't run, as an orchestrator does. Each machine logs to a file NAME.log."""

    def __init__(self, folder: Path, network: Network, database, broker, storage) -> None:
        self.folder, self.network = folder, network
        self.database, self.broker, self.storage = database, broker, storage
        self.webhook_url = ""  # of the jobs that are asked for
        for name in MACHINES:
            network.add(name)
        self.webs = itertools.cycle([f"http://{network.address(name)}:8000" for name in ("web1", "web2")])
        self.environment = os.environ | {
            "DATABASE_URL": database.url,
            "CELERY_BROKER_URL": broker.url,
            "STORAGE_URL": storage.url,
            "SERVER_URL": f"http://{network.address('web1')}:8000",
            "SECRET_KEY": SECRET_KEY,
            "ALLOWED_HOSTS": "*",
            "OPEN_API": "1",
            "OPEN_API_NETWORKS": network.range,
            "ADDRESS_RATE": "0/minute",
            "PHOTO_RATE": "0/minute",
            "WEBHOOK_ALLOW_HTTP": "1",
            "WEBHOOK_ALLOWED_NETWORKS": network.range,
            VARIABLE: json.dumps(SECONDS),
            **self._folders("client"),
        }
        for command in (["migrate"], ["load_demo"]):
            manage = [sys.executable, "manage.py", *command, "--verbosity", "0"]
            subprocess.run(manage, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL)
        self.processes: dict[str, subprocess.Popen] = {}

    def _folders(self, name: str) -> dict[str, str]:
        parts = {"DATA_DIR": "data", "TMP_DATA_DIR": "tmp_data", "TRAINING_APP_DIR": "training-app"}
        return {variable: str(self.folder / name / part) for variable, part in parts.items()}

    @property
    def url(self) -> str:
        """Of each web server in turn."""
        return next(self.webs)

    def tend(self) -> None:
        for name, (command, ahead) in MACHINES.items():
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                with (self.folder / f"{name}.log").open("ab") as log:
                    self.processes[name] = subprocess.Popen(
                        self.network.command(name, [sys.executable, *command]),
                        cwd=ROOT,
                        env=self.environment | self._folders(name) | machines.clock(self.folder, ahead),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )

    def stop(self) -> None:
        """Raises subprocess.TimeoutExpired if one doesn't end when it is asked to."""
        for name in reversed(self.processes):
            with contextlib.suppress(psutil.Error, IndexError):
                self.first(name).terminate()
        for process in self.processes.values():
            process.wait(60)

    def first(self, name: str) -> psutil.Process:
        """The machine's first process. Raises psutil.Error or IndexError if it isn't there."""
        return psutil.Process(self.processes[name].pid).children()[0]

    def tree(self) -> list[tuple[str, psutil.Process]]:
        """Every process with its role: for the first of a machine, the machine's name."""
        found = []
        for name in self.processes:
            with contextlib.suppress(psutil.Error, IndexError):
                first = self.first(name)
                found.append((name, first))
                found += [(self._role(name, one), one) for one in first.children(recursive=True)]
        return found

    def _role(self, machine: str, process: psutil.Process) -> str:
        words = words_of(process)
        return next((role for word, role in ROLES.items() if word in words), f"{machine}'s child")

    def machine_of(self, worker: str) -> str | None:
        """The name of the machine on which a worker of this name runs."""
        for name in self.processes:
            with contextlib.suppress(psutil.Error, IndexError, OSError):
                space = os.stat(f"/proc/{self.first(name).pid}/ns/pid").st_ino
                if worker.split("-")[1] == str(space):
                    return name
        return None

    def working_files(self) -> list[Path]:
        """Of jobs and uploads, on all machines."""
        places = [self.folder / name / part for name in MACHINES for part in ("tmp_data", "training-app")]
        folders = [found for place in places for found in os.walk(place)]
        return [Path(folder) / name for folder, _, names in folders for name in names]

    # --- what a front-end does -----------------------------------------------------------------------------

    photos = RunningService.photos

    def ask(self, key: str, lora: str = "", seed: int = 1) -> requests.Response:
        wish = WISH | {"selected_lora": lora, "seed": seed, "webhook_url": self.webhook_url}
        return requests.post(
            f"{self.url}/api/generate-image/", json=wish, headers={"Idempotency-Key": key}, timeout=30
        )

    def train(self, key: str) -> requests.Response:
        return requests.post(
            f"{self.url}/api/lora-training/",
            files=[("images", (f"{n}.png", photo, "image/png")) for n, photo in enumerate(self.photos)],
            data={"webhook_url": self.webhook_url},
            headers={"Idempotency-Key": key},
            timeout=60,
        )


@contextlib.contextmanager
def running(folder: Path, broker_name: str) -> Iterator[Fleet]:
    """A fleet whose servers run. ``tend`` starts its machines."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(machines.network())
        places = {}
        for name in ("database", "broker", "storage"):
            places[name] = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"cartolina-{name}-")))
        (places["storage"] / "data").mkdir()
        stack.enter_context(small_disk(places["storage"] / "data", STORAGE_MB))
        database = postgresql.Server(places["database"], network.address("database"), fsync="on")
        database.make()
        broker = brokers.BROKERS[broker_name](places["broker"], network.address("broker"))
        storage = object_storage.SeaweedFS(places["storage"], network.address("storage"))
        for server in (database, broker, storage):
            server.start()
            stack.callback(server.stop)
        yield Fleet(folder, network, database, broker, storage)
