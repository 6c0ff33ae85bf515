"""A web server, and a worker or more, as processes in a folder of their own, with demo places and actions."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests

from benchmarks.harness import ROOT
from diffuser_api.photos.pictures import as_png
from generation.processes import lifeline

SECRET_KEY = "test-secret-key-that-must-never-be-seen-in-an-answer-0123456789abcdef"
COMMANDS = {
    "worker": ["manage.py", "worker", "--interval", "0.2"],
    "webhooks": ["manage.py", "send_webhooks"],
}
ROLES = {
    "manage.py web": "web",
    "manage.py worker": "worker",
    "manage.py send_webhooks": "webhooks",
    "generation.processes.fork_server": "template",
    "generation.vision.gate_process": "photo gate",
    "launch.bash": "bash",
    "train_network.py": "trainer",
    "post-back.py": "post-back",
}
ELSEWHERE = {"DATABASE_URL", "STORAGE_URL"}  # with these, rows or files are not in the data folder
WISH = {
    "poi_name": "Piazza del Duomo",
    "poi_image": "square in the sun",
    "action_name": "waving",
    "action_shot_type": "MES",
    "age": "adult",
    "gender": "man",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def words_of(process: psutil.Process) -> str:
    """A process's command line and where its stderr goes; "" if it is gone."""
    try:
        return " ".join([*process.cmdline(), os.readlink(f"/proc/{process.pid}/fd/2")])
    except (psutil.Error, OSError):
        return ""


def manage(environment: dict[str, str], *arguments: str) -> str:
    """What ``manage.py`` prints."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


@functools.cache
def demo_data() -> Path:
    """A data folder with tables and with the demo's places and actions. It takes seven seconds of processor
    time, so it is made once, for services to copy. Processes that have the same HARNESS_DIR share it."""
    shared = os.environ.get("HARNESS_DIR")
    folder = Path(shared or tempfile.mkdtemp(prefix="cartolina-demo-"))
    if not shared:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with (folder / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not (folder / "demo").exists():
            _make_demo_data(folder / "half")
            (folder / "half").rename(folder / "demo")
    return folder / "demo"


def _make_demo_data(folder: Path) -> None:
    environment = os.environ | {"DATA_DIR": str(folder), "SECRET_KEY": SECRET_KEY}
    environment = {name: value for name, value in environment.items() if name not in ELSEWHERE}
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "load_demo")


class RunningService:
    """``tend`` starts what doesn't run, as compose's ``restart: unless-stopped`` does. Each process logs to a
    file NAME.log in the folder, and ends when the process that started it is killed."""

    def __init__(
        self,
        folder: Path,
        *,
        small: bool = True,
        beside: tuple[str, ...] = ("worker",),
        threads: int = 4,
        **settings: str,
    ) -> None:
        """``small``: with random models, whose steps take a second, instead of the profile's own. ``beside``:
        what of COMMANDS runs beside the web server."""
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "DATA_DIR": str(folder / "data"),
            "TMP_DATA_DIR": str(folder / "tmp_data"),
            "TRAINING_APP_DIR": str(folder / "training-app"),
            "SERVER_URL": self.url,
            "SECRET_KEY": SECRET_KEY,
            "OMP_WAIT_POLICY": "PASSIVE",
            "OPEN_API": "1",
            "ADDRESS_RATE": "0/minute",
            "PHOTO_RATE": "0/minute",
        }
        self.environment.pop("DATABASE_URL", None)
        if small:
            from benchmarks.harness.small_models import make_small_family

            models = make_small_family(folder / "models")
            names = {
                "INPAINT": "inpaint",
                "CONTROLNET": "controlnet",
                "DETAIL": "text2img",
                "TRAINING": "inpaint",
            }
            self.environment |= {f"{role}_MODEL": str(models / name) for role, name in names.items()}
        self.environment |= settings
        if ELSEWHERE & self.environment.keys():
            self.manage("migrate", "--verbosity", "0")
            self.manage("load_demo")
        else:
            shutil.copytree(demo_data(), self.environment["DATA_DIR"], dirs_exist_ok=True)
        web = ["manage.py", "web", "--bind", f"127.0.0.1:{self.port}", "--threads", str(threads)]
        self.commands = {"web": web}
        self.commands |= {name: COMMANDS[name] for name in beside}
        self.processes: dict[str, subprocess.Popen] = {}
        self.webhook_url = ""  # of the jobs that are asked for

    def manage(self, *arguments: str) -> str:
        """What ``manage.py`` prints."""
        return manage(self.environment, *arguments)

    def tend(self) -> None:
        for name, arguments in self.commands.items():
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                with (self.folder / f"{name}.log").open("ab") as log:
                    self.processes[name] = subprocess.Popen(
                        lifeline.tied([sys.executable, *arguments]),
                        cwd=ROOT,
                        env=self.environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )

    def stop(self) -> None:
        """Raises subprocess.TimeoutExpired if one doesn't end when it is asked to; it is killed then."""
        late = None
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait()
                late = error
        if late:
            raise late

    def stop_web(self) -> None:
        self.processes["web"].terminate()
        self.processes["web"].wait(30)

    def start_again(self) -> None:
        """What has ended, until it answers. Raises RuntimeError with the web server's log if that dies."""
        self.tend()
        end = time.monotonic() + 120
        while not self.answers():
            if time.monotonic() > end or self.processes["web"].poll() is not None:
                raise RuntimeError((self.folder / "web.log").read_text()[-2000:])
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    # --- its processes and files ----------------------------------------------------------------------------

    def tree(self) -> list[tuple[str, psutil.Process]]:
        """Every process with its role, the shells' helpers as "other"."""
        found = []
        for process in self.processes.values():
            try:
                top = psutil.Process(process.pid)
                found += [(self.role_of(one), one) for one in (top, *top.children(recursive=True))]
            except psutil.Error:
                continue
        return found

    def role_of(self, process: psutil.Process) -> str:
        """A step is told from its template by its log, which is a file in the job's folder."""
        words = words_of(process)
        if str(self.folder / "tmp_data") in words:
            return "step"
        return next((role for word, role in ROLES.items() if word in words), "other")

    def rss_mb(self) -> float:
        """Memory of the web server's processes."""
        web = psutil.Process(self.processes["web"].pid)
        return sum(one.memory_info().rss for one in (web, *web.children(recursive=True))) / 2**20

    def working_files(self) -> list[Path]:
        places = [self.folder / "tmp_data", self.folder / "training-app", self.folder / "data" / "photos"]
        folders = [found for place in places for found in os.walk(place)]  # passes over what goes meanwhile
        return [Path(folder) / name for folder, _, names in folders for name in names]

    # --- what a front-end does ------------------------------------------------------------------------------

    @functools.cached_property
    def photos(self) -> list[bytes]:
        """Five of one person, as PNG files."""
        from generation.miniature import demo_content

        return [as_png(photo) for photo in demo_content.people()[0].photos]

    def ask(self, key: str, lora: str = "", seed: int = 1, **headers: str) -> requests.Response:
        return requests.post(
            f"{self.url}/api/generate-image/",
            json=WISH | {"selected_lora": lora, "seed": seed, "webhook_url": self.webhook_url},
            headers={"Idempotency-Key": key} | headers,
            timeout=90,
        )

    def train(self, key: str, **headers: str) -> requests.Response:
        return requests.post(
            f"{self.url}/api/lora-training/",
            files=[("images", (f"{n}.png", photo, "image/png")) for n, photo in enumerate(self.photos)],
            data={"webhook_url": self.webhook_url},
            headers={"Idempotency-Key": key} | headers,
            timeout=90,
        )


@contextlib.contextmanager
def running(folder: Path | None = None, **options) -> Iterator[RunningService]:
    """Until the end of the block, from when it answers; in a folder that is removed then, if none is given.
    ``options`` are RunningService's."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cartolina-service-")))
        service = RunningService(folder, **options)
        stack.callback(service.stop)
        service.start_again()
        yield service
