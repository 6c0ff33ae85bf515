"""LoRAs of drawn people by the trainer that serves visitors; and a folder that keeps them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from generation import training_set
from generation.miniature import demo_content, detectors
from generation.miniature.world.people import Person
from generation.models.profiles import MINIATURE, ModelProfile, TrainingSettings
from generation.processes import lifeline, omp

ROOT = Path(__file__).resolve().parent.parent.parent


@functools.cache
def recipe(settings: str = repr(MINIATURE.training)) -> str:
    """A name for these settings together with the weights that LoRAs are trained on. A LoRA depends on the
    settings of its training, a picture on those of the whole profile."""
    found = hashlib.sha256(settings.encode())
    for path in sorted(Path(MINIATURE.training_model.id).rglob("*.safetensors")):
        found.update(path.read_bytes())
    return found.hexdigest()[:8]


def kept_lora(work: Path, person: Person, seed: int) -> tuple[Path, float]:
    """As ``train_lora``; a LoRA that ``work`` holds is trained again only if weights or recipe changed."""
    kept = work / "loras" / f"{seed}-{recipe()}.safetensors"
    record = kept.with_suffix(".json")
    if not record.exists():
        scratch = work / "trainings"
        scratch.mkdir(parents=True, exist_ok=True)
        trained, seconds = train_lora(scratch, person, seed)
        kept.parent.mkdir(exist_ok=True)
        os.replace(trained, kept)
        record.write_text(json.dumps({"seconds": seconds}))
    return kept, json.loads(record.read_text())["seconds"]


def train_lora(
    work: Path,
    person: Person,
    seed: int,
    training: TrainingSettings | None = None,
    profile: ModelProfile = MINIATURE,
) -> tuple[Path, float]:
    """A LoRA of the person's five photos by the trainer that serves visitors; its file, and seconds."""
    code = f"{seed % 10**8:08d}"
    training = training or profile.training
    photos = []
    for number, photo in enumerate(demo_content.photos_of(person, seed), start=1):
        photos.append(work / f"{code}-{number}.jpg")
        photo.save(photos[-1], quality=95)
    training_set.write(photos, work / "training-app" / "training-input" / code, training, detectors)
    kept = work / f"{code}.safetensors"
    with delivery(kept) as url:
        environment = os.environ | omp.waiting() | training.environment()
        environment |= {
            "PYTHON": sys.executable,
            "MODEL": profile.training_model.id,
            "TRAINING_APP_DIR": str(work / "training-app"),
            "SERVER_URL": url,
            "LORA_CODE": code,
            "CALLBACK_TOKEN": "none",
        }
        began = time.perf_counter()
        done = subprocess.run(
            lifeline.tied(["bash", str(ROOT / "training-app" / "launch.bash"), code]),
            env=environment,
            capture_output=True,
            text=True,
        )
    if done.returncode or not kept.exists():
        raise SystemExit(f"the training of {code} failed: {done.stderr[-500:]}")
    return kept, time.perf_counter() - began


@contextlib.contextmanager
def delivery(kept: Path):
    """The address of a server that takes one LoRA from post-back.py and keeps it as a file."""
    import email
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
            for part in email.message_from_bytes(kind + body).get_payload():
                if part.get_param("name", header="content-disposition") == "lora":
                    kept.write_bytes(part.get_payload(decode=True))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
