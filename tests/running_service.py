"""A web server and a worker with small random models in a folder of their own, restarted when they die."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import requests

from generation.miniature import demo_content
from tests.small_models import make_small_family

ROOT = Path(__file__).resolve().parent.parent
ROLES = {
    "gunicorn": "web",
    "manage.py worker": "worker",
    "generation.template": "template or step",
    "generation.steps": "step",
    "launch.bash": "bash",
    "train_network.py": "trainer",
    "post-back.py": "post-back",
}
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


def png(picture) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


class RunningService:
    """What compose's ``restart: unless-stopped`` does, for as long as ``tend`` is called."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder, port = folder, free_port()
        self.url = f"http://127.0.0.1:{port}"
        models = make_small_family(folder / "models")
        self.environment = os.environ | {
            "DATA_DIR": str(folder / "data"),
            "TMP_DATA_DIR": str(folder / "tmp_data"),
            "TRAINING_APP_DIR": str(folder / "training-app"),
            "SERVER_URL": self.url,
            "INPAINT_MODEL": str(models / "inpaint"),
            "CONTROLNET_MODEL": str(models / "controlnet"),
            "DETAIL_MODEL": str(models / "text2img"),
            "TRAINING_MODEL": str(models / "inpaint"),
            "OMP_WAIT_POLICY": "PASSIVE",
            **variables,
        }
        self.environment.pop("DATABASE_URL", None)
        for command in (["migrate", "--verbosity", "0"], ["load_demo"]):
            self.run([sys.executable, "manage.py", *command])
        gunicorn = ["gunicorn", "djangoproject.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "8"]
        self.commands = {
            "web": [sys.executable, "-m", *gunicorn, "--graceful-timeout", "3"],
            "worker": [sys.executable, "manage.py", "worker", "--interval", "0.2"],
        }
        self.processes: dict[str, subprocess.Popen] = {}
        self.photos = [png(photo) for photo in demo_content.people()[0].photos]

    def run(self, command: list[str]) -> None:
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def tend(self) -> None:
        for name, command in self.commands.items():
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                with (self.folder / f"{name}.log").open("ab") as log:
                    self.processes[name] = subprocess.Popen(
                        command,
                        cwd=ROOT,
                        env=self.environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )

    def tree(self) -> list[tuple[str, psutil.Process]]:
        """Every process with its role, the shells' helpers as "other"."""
        found = []
        for process in self.processes.values():
            try:
                top = psutil.Process(process.pid)
                for one in (top, *top.children(recursive=True)):
                    words = " ".join(one.cmdline())
                    role = next((role for word, role in ROLES.items() if word in words), "other")
                    found.append((role, one))
            except psutil.Error:
                continue
        return found

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    def ask(self, key: str, lora: str = "", seed: int = 1, **headers: str) -> requests.Response:
        return requests.post(
            f"{self.url}/api/generate-image/",
            json=WISH | {"selected_lora": lora, "seed": seed},
            headers={"Idempotency-Key": key} | headers,
            timeout=90,
        )

    def train(self, key: str, **headers: str) -> requests.Response:
        return requests.post(
            f"{self.url}/api/lora-training/",
            files=[("images", (f"{n}.png", photo, "image/png")) for n, photo in enumerate(self.photos)],
            headers={"Idempotency-Key": key} | headers,
            timeout=90,
        )

    def working_files(self) -> list[Path]:
        places = [self.folder / "tmp_data", self.folder / "training-app", self.folder / "data" / "photos"]
        return [path for place in places for path in place.rglob("*") if not path.is_dir()]
