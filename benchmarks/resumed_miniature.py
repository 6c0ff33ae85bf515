"""The miniature's own training, killed three times, against an unbroken one.

``python -m benchmarks.resumed_miniature``. The real command for a few steps: it is not asked how much it
learns, but whether it ends where it would have. Prints the largest difference of any weight, and the step
from which each run went on.
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

VAE_STEPS, UNET_STEPS = 12, 16
FILES = {"vae.pt": VAE_STEPS, "unet.pt": UNET_STEPS}


def train(work: Path, kill_after: int | None) -> str:
    """Run the command; with ``kill_after``, until so many steps are in checkpoints. Its last log line."""
    command = [sys.executable, "-W", "ignore", "-m", "generation.miniature.training.all", str(work)]
    command += ["--vae-steps", str(VAE_STEPS), "--unet-steps", str(UNET_STEPS), "--save-seconds", "2"]
    command += ["--device", "cpu"]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    if kill_after is not None:
        while process.poll() is None and reached(work) < kill_after:
            time.sleep(0.2)
        time.sleep(random.uniform(0, 2))
        process.kill()
    log = process.communicate()[1]
    if kill_after is None and process.returncode:
        raise SystemExit(f"the training failed: {log[-500:]}")
    return ", ".join(re.findall(r"going on from (.*)", log))


def reached(work: Path) -> int:
    """Steps of both stages in their newest checkpoints."""
    files = [work / name for name in FILES if (work / name).exists()]
    return sum(torch.load(path, weights_only=True, mmap=True)["counters"]["step"] for path in files)


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
            began = time.perf_counter()
            steps = VAE_STEPS + UNET_STEPS
            for number in range(kills):
                went_on = train(work, random.randint(1, steps // (kills + 1)) + number * steps // (kills + 1))
                print(f"killed at step {reached(work)} of {steps}; had gone on from: {went_on or 'nothing'}")
            train(work, None)
            weights.append(torch.load(work / "unet.pt", weights_only=True)["networks"])
            print(f"{kills} kills: {steps} steps in {time.perf_counter() - began:.0f} s", flush=True)
    apart = max(float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0])
    print(f"largest difference of any of {len(weights[0])} tensors: {apart:g}")
    sys.exit(apart != 0)


if __name__ == "__main__":
    main()
