"""A training and the face step at Stable Diffusion 1.5's size, with random weights: ``make bench-sd15``.

Two steps of training by the command that serves visitors: the LoRA's tensors and metadata must be kohya's,
and plain diffusers must load it without a warning. Then the face step with that LoRA and without one, each in
a process of its own: the most memory that no file backs, and what it writes.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import multiprocessing
import os
import tempfile
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil

from benchmarks.harness.job_folders import make_job, read_inputs
from benchmarks.harness.kohya_lora import METADATA, kohyas_tensors
from benchmarks.harness.trainings import train_lora
from benchmarks.sd15 import FAMILY, anonymous_mb, prepare
from generation.miniature.world import people
from generation.miniature.world.scenes import HELD_OUT
from generation.models.profiles import get_profile


def faults_of(lora: Path, model: str) -> list[str]:
    """What of the file isn't kohya's, and what diffusers' own pipeline says when it loads it."""
    import torch
    from diffusers import StableDiffusionPipeline
    from safetensors import safe_open

    with safe_open(lora, "pt") as file:
        tensors = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        metadata = set(file.metadata())
    faults = [f"tensor {name}" for name, _ in sorted(tensors.items() ^ kohyas_tensors().items())]
    faults += [f"metadata {name}" for name in sorted(metadata ^ METADATA)]
    said: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: said.append(record.getMessage())
    pipeline = StableDiffusionPipeline.from_pretrained(model, dtype=torch.float16, safety_checker=None)
    for library in ("diffusers", "transformers", "peft"):
        logging.getLogger(library).setLevel(logging.WARNING)
        logging.getLogger(library).addHandler(listener)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name)
    return faults + said + [str(warning.message) for warning in caught]


def face_step(job: Path, with_lora: bool) -> tuple[float, float, float]:
    """Seconds, peak of what no file backs, and megabytes written, of the face step on the request's place."""
    from generation.models import hardware, pipelines
    from generation.processes import step_process

    inputs = read_inputs(job)
    request = inputs.request if with_lora else dataclasses.replace(inputs.request, lora=None)
    hardware.use_cores()
    peak, done = 0.0, threading.Event()
    before = psutil.Process().io_counters().write_chars

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, anonymous_mb(os.getpid()))

    watcher, began = threading.Thread(target=watch), time.monotonic()
    watcher.start()
    cache = pipelines.PipelineCache()
    pipeline = step_process.load_pipeline("face", job, request, inputs.profile, cache)
    painted = inputs.paint("face", 5, inputs.canvas.background, pipeline)
    painted.save(job / "5-face.png")
    seconds = time.monotonic() - began
    done.set()
    watcher.join()
    written = psutil.Process().io_counters().write_chars - before
    return seconds, peak, written / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", type=Path, default=FAMILY, help="where the weights are, or will be")
    args = parser.parse_args()
    apart = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="cartolina-sd15-") as name:
        work = Path(name)
        with ProcessPoolExecutor(1, apart) as once:
            os.environ |= once.submit(prepare, args.family, work / "random.safetensors").result()
        os.environ["DENOISING_STEPS"] = "2"
        profile = get_profile("sd15")
        training = dataclasses.replace(profile.training, steps=2, variables=())
        person = people.random_person(HELD_OUT)
        lora, seconds = train_lora(work, person, HELD_OUT, training, profile)
        print(f"two steps of training: {seconds:.0f} s, {lora.stat().st_size / 2**20:.1f} MB", flush=True)
        with ProcessPoolExecutor(1, apart) as once:
            faults = once.submit(faults_of, lora, profile.training_model.id).result()
        print(
            *(faults or ["tensors and metadata are kohya's; diffusers loads it and says nothing"]), sep="\n"
        )
        print(f"{'face step':<16}{'seconds':>9}{'peak, MB':>10}{'written, MB':>13}", flush=True)
        for with_lora in (False, True):
            job = make_job(work / f"job-{with_lora}", lora=lora, size=(512, 512), profile="sd15")
            with ProcessPoolExecutor(1, apart) as once:
                took, peak, written = once.submit(face_step, job, with_lora).result()
            print(f"{'with a LoRA' if with_lora else 'without':<16}{took:>9.0f}{peak:>10.0f}{written:>13.2f}")
        raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
