"""All figures of a GPU in one run: ``make bench-gpu``. Fetches nothing and needs no display.

With Stable Diffusion 1.5's shapes: the models that INPAINT_MODEL, CONTROLNET_MODEL, DETAIL_MODEL and
TRAINING_MODEL name, or random weights of those shapes, which are as fast. Each step and the whole picture in
every way of isolation, next to a plain script on diffusers in the same run; memory; training steps a second,
ours and with PEFT as diffusers' examples do it, in turns. ``--on-cpu`` shows with the miniature that it works
without a GPU.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import isolation
from benchmarks.sd15 import FAMILY
from generation.miniature import demo_content
from generation.models.profiles import ModelProfile, get_profile
from generation.processes import omp
from generation.step_table import ORDER

ROOT = Path(__file__).resolve().parent.parent
NO_GPU = """There is no GPU here that torch can use, so there is nothing to measure.
On a machine with one (an NVIDIA driver, 8 GB of GPU memory, 10 GB of disk):  make bench-gpu
To see that this works on a CPU, with the miniature:  .venv/bin/python -m benchmarks.gpu --on-cpu"""


def gpu() -> str | None:
    """Its name, found by a process of its own, which leaves no CUDA context behind."""
    code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip() or None


def write_family(folder: Path) -> dict[str, str]:
    from benchmarks import sd15_shaped

    return sd15_shaped.write_family(folder)


# --- training -----------------------------------------------------------------------------------------------


def seconds_a_step(command: list[str], environment: dict[str, str]) -> float:
    """From the second half of a training's progress lines; the first steps warm up."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr[-1000:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    reports = [line for line in lines if line.get("done")]
    middle, last = reports[len(reports) // 2], reports[-1]
    return (last["seconds"] - middle["seconds"]) / (last["done"] - middle["done"])


def ours(profile: ModelProfile, folder: Path, steps: int) -> list[str]:
    photos = folder / "photos" / "20_sks person"
    photos.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(demo_content.people()[0].photos):
        photo.save(photos / f"{number}.png")
    side = profile.training.resolution
    options = {
        "pretrained_model_name_or_path": profile.training_model.id,
        "train_data_dir": photos.parent,
        "output_dir": folder / "out",
        "output_name": "lora",
        "network_module": "networks.lora",
        "network_dim": 32,
        "network_alpha": 16,
        "resolution": f"{side},{side}",
        "max_train_steps": steps,
        "mixed_precision": "fp16",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "kohya-scripts/train_network.py", *words, "--cache_latents", "--sdpa"]


def training_table(profile: ModelProfile, steps: int, rounds: int) -> list[tuple[str, float]]:
    """(name, steps a second), the median of rounds in turns."""
    environment = os.environ | omp.waiting()
    pixels = str(profile.training.resolution)
    plain = [sys.executable, "-m", "benchmarks.plain_lora", profile.training_model.id, str(steps)]
    seconds: dict[str, list[float]] = {"our trainer": [], "PEFT": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            isolation.say(f"training, round {number + 1} of {rounds}")
            seconds["our trainer"].append(seconds_a_step(ours(profile, Path(folder), steps), environment))
            seconds["PEFT"].append(seconds_a_step([*plain, "--pixels", pixels], environment))
    return [(name, 1 / statistics.median(values)) for name, values in seconds.items()]


# --- all ----------------------------------------------------------------------------------------------------


def write_csv(workers: list[isolation.Worker], training: list[tuple[str, float]], path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("way", "what", "round", "value", "unit"))
        for worker in workers:
            for number, run in enumerate(worker.runs):
                rows.writerow((worker.way, "whole picture", number, run["seconds"], "s"))
                for report in run["reports"]:
                    rows.writerow((worker.way, report["step"], number, report["peak_gpu_mb"], "GPU MB"))
            for index in range(1, len(ORDER) + 1):
                for number, seconds in enumerate(worker.step_seconds(index)):
                    rows.writerow((worker.way, f"step {index}", number, seconds, "s"))
            rows.writerow((worker.way, "peak memory", "", worker.peak_mb, "MB"))
        rows.writerows((name, "training", "", speed, "steps/s") for name, speed in training)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--training-steps", type=int, default=40)
    parser.add_argument("--on-cpu", action="store_true", help="the miniature, if there is no GPU")
    parser.add_argument("--family", type=Path, default=FAMILY, help="where random weights are, or will be")
    parser.add_argument("--save", type=Path, default=Path("gpu"), metavar="NAME", help="NAME.csv, NAME.svg")
    args = parser.parse_args()
    name = gpu()
    if not name and not args.on_cpu:
        raise SystemExit(NO_GPU)
    if name and not os.environ.get("INPAINT_MODEL"):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as once:
            os.environ.update(once.submit(write_family, args.family).result())
    profile = get_profile("sd15" if name else "miniature")
    os.environ["MODEL_PROFILE"] = profile.name
    print(f"{name or 'no GPU'}; {isolation.machine()}; profile {profile.name}\n")
    workers = isolation.measure(list(isolation.WAYS), args.rounds)
    print(isolation.table(workers))
    gpu_peaks = {
        w.way: max((r["peak_gpu_mb"] for run in w.runs for r in run["reports"]), default=0.0) for w in workers
    }
    if name:
        print("\npeak of a step on the GPU, MB: " + ", ".join(f"{w} {mb:.0f}" for w, mb in gpu_peaks.items()))
    training = training_table(profile, args.training_steps, max(1, args.rounds // 2))
    print("\ntraining, steps a second: " + ", ".join(f"{name} {speed:.2f}" for name, speed in training))
    print(f"ours in units of PEFT's: {training[0][1] / training[1][1]:.2f}")
    write_csv(workers, training, args.save.with_suffix(".csv"))
    isolation.plot(workers, args.save.with_suffix(".svg"))
    print(f"{args.save}.csv, {args.save}.svg")


if __name__ == "__main__":
    main()
