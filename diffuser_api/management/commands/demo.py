"""``manage.py demo``: the whole road through HTTP, five photos in and a picture out.

Starts a web server and a worker of its own on a free port of this host, plays the client that a front-end
would be, and ends both. It knows the API and the demo content; of the system's inside only where files lie.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from PIL import Image

from diffuser_api.photos.pictures import as_png
from generation.miniature import demo_content

SEED = 7
READY_SECONDS = 120.0
GRACE_SECONDS = 20.0  # for a child to end by itself; an interrupted job has its folder to clear away
POLL_SECONDS = 0.5
LOG_LINES = 40


class Command(BaseCommand):
    help = "Train on five drawn photos and paint a picture with the result, through the running system."

    def handle(self, *args, **options):
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._run()
        except KeyboardInterrupt:
            raise CommandError("stopped", returncode=130) from None

    def _run(self) -> None:
        before = _working_files()
        started = time.monotonic()
        with _log_file() as log, _servers(log) as address:
            client = Client(address, ProgressLine(self.stdout))
            self.stdout.write(f"web and worker on {address}, ready after {time.monotonic() - started:.0f} s")
            self._walk(client)
        left = sorted(str(path) for path in _working_files() - before)
        if left:
            raise CommandError("files were left behind: " + ", ".join(left))
        self.stdout.write(f"everything took {time.monotonic() - started:.0f} s")

    def _walk(self, client: Client) -> None:
        person = demo_content.people()[0]
        place = demo_content.places()[0]
        background = place.images[0]
        action = next(action for action in demo_content.actions() if action.name == "waving")

        self.stdout.write(f"training on five photos of {person.name}")
        training = client.train(person.photos)

        self.stdout.write(f"painting {person.name}, {action.description}, at {place.name}")
        generation = client.generate(
            poi_name=place.name,
            poi_image=background.name,
            action_name=action.name,
            action_shot_type="MES",
            age=person.age,
            gender=person.gender,
            other_details="a green sweater",
            selected_lora=training["code"],
            seed=SEED,
        )
        picture = client.fetch(generation["output_url"])
        path = Path(settings.DATA_DIR) / "outputs" / f"{generation['code']}.png"
        if settings.BUCKET:
            path = Path(settings.DATA_DIR) / "demo.png"
            path.write_bytes(picture)
        elif path.read_bytes() != picture:
            raise CommandError(f"{generation['output_url']} isn't the file {path}")
        self.stdout.write("")
        for job in (training, generation):
            self._print_timings(job)
        self.stdout.write(f"LoRA code {training['code']}, output code {generation['code']}, seed {SEED}")
        self.stdout.write(self.style.SUCCESS(f"picture: {path}"))
        sheet = Path(settings.DATA_DIR) / "demo.jpg"
        draw_sheet(person.photos, background.picture, path).save(sheet, quality=90)
        self.stdout.write(f"with the photos and the empty place beside it: {sheet}")

    def _print_timings(self, job: dict) -> None:
        self.stdout.write(f"{job['kind']} {job['code']}: {job['wall_seconds']:.0f} s")
        self.stdout.write("  step        process  import s  load s  inference s  peak MB")
        for row in job["timings"]:
            numbers = [row.get(f"{name}_seconds") for name in ("import", "load", "inference")]
            texts = ["-" if number is None else f"{number:.1f}" for number in numbers]
            self.stdout.write(
                f"  {row['step']:10} {row.get('pid', '-'):>8} {texts[0]:>9} {texts[1]:>7} {texts[2]:>12}"
                f" {row.get('peak_rss_mb') or 0:>8.0f}"
            )


def draw_sheet(photos: list[Image.Image], place: Image.Image, picture: Path) -> Image.Image:
    """What went in and what came out: the photos above, the empty place and the picture below."""
    large, small = 380, 152
    sheet = Image.new("RGB", (2 * large, small + large), "white")
    for number, photo in enumerate(photos):
        sheet.paste(photo.resize((small, small), Image.Resampling.LANCZOS), (number * small, 0))
    with Image.open(picture) as painted:
        for column, shown in enumerate((place, painted.convert("RGB"))):
            sheet.paste(shown.resize((large, large), Image.Resampling.LANCZOS), (column * large, small))
    return sheet


class Client:
    """The front-end's part: posts, follows the job, fetches."""

    def __init__(self, address: str, progress: ProgressLine) -> None:
        self.address = address
        self.progress = progress
        self.session = requests.Session()
        self.session.trust_env = False  # the server is on this host: no proxy stands between

    def train(self, photos) -> dict:
        parts = [
            ("images", (f"photo-{n}.png", as_png(photo), "image/png")) for n, photo in enumerate(photos, 1)
        ]
        return self._follow(self._call("POST", "/api/lora-training/", files=parts).json()["status_url"])

    def generate(self, **fields) -> dict:
        answer = self._call("POST", "/api/generate-image/", json=fields).json()
        if not answer["lora_used"]:
            raise CommandError("the server didn't use the LoRA it has just trained")
        return self._follow(answer["status_url"])

    def fetch(self, url: str) -> bytes:
        return self._call("GET", url).content

    def _follow(self, status_url: str) -> dict:
        started = time.monotonic()
        while True:
            job = self._call("GET", status_url).json()
            self.progress.show(job, time.monotonic() - started)
            if job["status"] not in ("queued", "running"):
                break
            time.sleep(POLL_SECONDS)
        self.progress.end()
        if job["status"] != "succeeded":
            raise CommandError(f"{job['kind']} {job['code']} {job['status']}: {job['error']}")
        return {**job, "wall_seconds": time.monotonic() - started}

    def _call(self, method: str, path: str, **arguments) -> requests.Response:
        url = path if path.startswith("http") else self.address + path
        response = self.session.request(method, url, timeout=60, **arguments)
        if not response.ok:
            raise CommandError(f"{method} {path} answered {response.status_code}: {response.text[:500]}")
        return response


class ProgressLine:
    """One line that changes on a terminal; elsewhere a new one with each step and every few seconds."""

    def __init__(self, out, every_seconds: float = 5.0) -> None:
        self.out = out
        self.live = out.isatty()
        self.every_seconds = every_seconds
        self.last_step: object = None
        self.last_time = 0.0

    def show(self, job: dict, seconds: float) -> None:
        step = (job["status"], job["step"])
        due = time.monotonic() - self.last_time >= self.every_seconds
        if not (self.live or due or step != self.last_step):
            return
        self.last_step, self.last_time = step, time.monotonic()
        bar = "#" * round(20 * job["progress"])
        line = f"  {seconds:4.0f} s  [{bar:20}] {job['progress']:4.0%}  {job['status']} {job['step'] or ''}"
        if job["eta_seconds"]:
            line += f", about {job['eta_seconds']:.0f} s left"
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.out.write("\r" + line[:width].ljust(width), ending="")
        else:
            self.out.write(line)
        self.out.flush()

    def end(self) -> None:
        if self.live:
            self.out.write("")


@contextmanager
def _log_file():
    """Where the servers write to; its end is shown if anything goes wrong."""
    with tempfile.TemporaryFile("w+", errors="replace", prefix="cartolina-demo-") as log:
        try:
            yield log
        except (CommandError, requests.RequestException, OSError):
            log.seek(0)
            print(
                "".join(["--- the servers' last lines ---\n", *log.readlines()[-LOG_LINES:]]), file=sys.stderr
            )
            raise


@contextmanager
def _servers(log):
    """A web server and a worker; yields the server's address once it answers, ends both whatever happens."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    changes = {"SERVER_URL": address, "ALLOWED_HOSTS": "127.0.0.1", "OPEN_API": "1", "PYTHONUNBUFFERED": "1"}
    environment = {**os.environ, **changes}
    web = [sys.executable, "manage.py", "web", "--bind", f"127.0.0.1:{port}"]
    worker = [sys.executable, "manage.py", "worker", "--interval", "0.2"]
    children: list[subprocess.Popen] = []
    try:
        for command in (web, worker):
            # In a session of its own, so that Ctrl-C reaches this process alone and the end is orderly.
            child = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            children.append(child)
        _wait_until_ready(address, children)
        yield address
    finally:
        for child in reversed(children):  # the worker first: it may still deliver something to the web
            _end(child)


def _wait_until_ready(address: str, children: list[subprocess.Popen]) -> None:
    session = requests.Session()
    session.trust_env = False
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if any(child.poll() is not None for child in children):
            raise CommandError("the web server or the worker ended at once")
        try:
            if session.get(f"{address}/readyz", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass  # not listening yet
        time.sleep(0.2)
    raise CommandError(f"{address}/readyz wasn't ready after {READY_SECONDS:.0f} s")


def _end(child: subprocess.Popen) -> None:
    """SIGTERM asks; then SIGKILL, by process id."""
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _working_files() -> set[Path]:
    """What lies in the folders that a finished job leaves empty."""
    training = Path(settings.TRAINING_APP_DIR)
    folders = [Path(settings.TMP_DATA_DIR), training / "training-input", training / "training-output"]
    return {path for folder in folders if folder.is_dir() for path in folder.iterdir()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _interrupt(signum, frame):
    raise KeyboardInterrupt
