"""The miniature's own training, killed three times, against an unbroken one.

``python -m benchmarks.resumed_miniature``. The real command, on few samples and an untrained VAE: what is
asked is not what it learns, but whether it ends where it would have. Prints the largest difference of any
weight, and from which steps it went on.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from generation.miniature.training import family
from generation.miniature.training.checkpoints import restart_safe_save

STEPS, SAMPLES = 40, 40


def train(work: Path, kill_after: int | None) -> int:
    """Run the command; with ``kill_after``, until that step is in a checkpoint. The step it began from."""
    command = [sys.executable, "-W", "ignore", "-m", "generation.miniature.training.train_unet", str(work)]
    command += ["--steps", str(STEPS), "--samples", str(SAMPLES), "--save-seconds", "2"]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    if kill_after is not None:
        while process.poll() is None and reached(work) < kill_after:
            time.sleep(0.2)
        time.sleep(random.uniform(0, 2))
        process.kill()
    said = process.communicate()[1]
    if kill_after is None and process.returncode:
        raise SystemExit(f"the training failed: {said[-500:]}")
    found = re.search(r"going on from step (\d+) of unet.pt", said)
    return int(found[1]) if found else 0


def reached(work: Path) -> int:
    path = work / "unet.pt"
    return torch.load(path, weights_only=True, mmap=True)["step"] if path.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random.seed(args.seed)
    weights = []
    with tempfile.TemporaryDirectory(prefix="cartolina-training-") as name:
        for kills in (0, args.kills):
            work = Path(name) / f"killed-{kills}"
            work.mkdir()
            torch.manual_seed(0)
            restart_safe_save(work / "vae.pt", 1, vae=family.build_vae())
            began = time.perf_counter()
            for number in range(kills):
                before = train(work, random.randint(1, STEPS // (kills + 1)) + number * STEPS // (kills + 1))
                print(
                    f"killed; had begun from step {before}, its newest checkpoint is of step {reached(work)}"
                )
            train(work, None)
            weights.append(torch.load(work / "unet.pt", weights_only=True)["networks"])
            print(f"{kills} kills: {STEPS} steps in {time.perf_counter() - began:.0f} s", flush=True)
    apart = max(float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0])
    print(f"largest difference of any of {len(weights[0])} tensors: {apart:g}")
    sys.exit(apart != 0)


if __name__ == "__main__":
    main()
