"""A training killed at random moments against an unbroken one: steps done twice, and whether weights differ.

``python -m benchmarks.resumed_training --kills 8``. The real launch.bash with the miniature's settings and
small random models; the trainer or its shell is killed with SIGKILL.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import torch
from safetensors.torch import load

from benchmarks.harness.small_models import make_small_family
from generation.miniature import demo_content
from generation.models.profiles import MINIATURE

ROOT = Path(__file__).resolve().parent.parent
CODE = "12345678"


class Receiver:
    """Takes the LoRA that post-back.py delivers."""

    def __init__(self) -> None:
        self.body = b""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                receiver.body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def weights(self) -> dict[str, torch.Tensor]:
        head, _, rest = self.body.partition(b"\r\n\r\n")
        boundary = head.split(b"\r\n")[0]
        return load(rest[: rest.rindex(b"\r\n" + boundary)])


def lay_out_photos(app: Path) -> None:
    folder = app / "training-input" / CODE / f"{MINIATURE.training.repeats}_sks person"
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, photo in enumerate(demo_content.people()[0].photos):
        photo.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("sks person")


def start(app: Path, model: Path, receiver: Receiver) -> subprocess.Popen:
    lay_out_photos(app)
    variables = {
        "RESOLUTION": "64,64",  # small random models learn nothing from more
        "PYTHON": sys.executable,
        "MODEL": str(model),
        "TRAINING_APP_DIR": str(app),
        "SERVER_URL": receiver.url,
        "CALLBACK_TOKEN": "token",
        "KEEP_INTERRUPTED": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return subprocess.Popen(
        ["bash", str(ROOT / "training-app" / "launch.bash"), CODE],
        env=os.environ | MINIATURE.training.environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def run(app: Path, model: Path, receiver: Receiver, kill_at: int | None, victim: str) -> tuple[int, int]:
    """One run, killed once it has told of step ``kill_at``; the first and the last step that it told of."""
    first = last = None
    process = start(app, model, receiver)
    for line in process.stdout:
        done = json.loads(line).get("done")
        if done is None:
            continue
        first, last = done if first is None else first, done
        if kill_at is not None and done >= kill_at:
            kill(process, victim)
            break
    process.stdout.close()
    process.wait()
    return first, last


def kill(shell: subprocess.Popen, victim: str) -> None:
    """All of the session ends before this returns: the kernel tells the trainer when its shell is killed."""
    family = psutil.Process(shell.pid).children(recursive=True)
    target = (
        shell if victim == "bash" else next(p for p in family if "train_network.py" in " ".join(p.cmdline()))
    )
    target.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=30)


def compare(kills: int, seed: int, folder: Path) -> tuple[list[tuple[int, int]], dict, dict]:
    """(last step told of, step gone on from) for each kill, and the weights of both runs."""
    chance, receiver = random.Random(seed), Receiver()
    model = make_small_family(folder / "models") / "inpaint"
    total = int(MINIATURE.training.environment()["MAX_TRAIN_STEPS"])
    run(folder / "app", model, receiver, None, "")
    unbroken = receiver.weights()
    moments = sorted(chance.sample(range(1, total - 5), kills))
    reached, jumps = [], []
    for kill_at in [*moments, None]:
        first, last = run(folder / "app", model, receiver, kill_at, chance.choice(["bash", "trainer"]))
        if reached:
            jumps.append((reached[-1], first))
        reached.append(last)
    receiver.server.shutdown()
    return jumps, unbroken, receiver.weights()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cartolina-resumed-") as folder:
        jumps, unbroken, resumed = compare(args.kills, args.seed, Path(folder))
        left = [path for path in Path(folder, "app").rglob("*") if not path.is_dir()]
    total = int(MINIATURE.training.environment()["MAX_TRAIN_STEPS"])
    print("killed at step  went on from  done twice")
    for reached, first in jumps:
        print(f"{reached:14} {first:13} {(reached - first) / total:11.1%}")
    same = unbroken.keys() == resumed.keys() and all(torch.equal(unbroken[k], resumed[k]) for k in unbroken)
    print(f"the weights are {'the same, bit for bit' if same else 'NOT the same'}; files left: {len(left)}")
    if not same or left:
        sys.exit(1)


if __name__ == "__main__":
    main()
