"""Cancel and delete at every state and step: how long until no process and no byte of the visitor is left.

``python -m benchmarks.cancel_and_delete --repeat 5``. The visitor's bytes are searched for by content, in
every file of the data, working and training folders and of the database: photos, words, and all that bears
the job's code.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import requests
from PIL import Image

from benchmarks.kills import set_up
from tests.running_service import RunningService

PATIENCE = 30.0  # seconds, after which a case has failed
STEPS = ("pose", "detail", "detail", "harmonize", "face")


def make_weights(models: Path, folder: Path) -> bytes:
    from tests.job_folders import make_lora

    return make_lora(models / "inpaint" / "unet", folder / "lora.safetensors").read_bytes()


def generation_at(service: RunningService, step: int, weights: bytes) -> tuple[str, list[bytes]]:
    """A waiting picture whose folder holds the pictures before ``step``; step 0: one without a folder."""
    from django.core.files.base import ContentFile

    from diffuser_api import generation_dispatcher, jobs
    from diffuser_api.models import ActionImage, LoraModel, PoiImage
    from generation import folder as folders

    lora, _ = LoraModel.objects.get_or_create(
        code="12345678", defaults={"file": ContentFile(weights, "12345678.safetensors")}
    )
    words = f"a coat with the number {time.time_ns()}"
    job = jobs.create_generation(
        PoiImage.objects.first(),
        ActionImage.objects.first(),
        lora,
        1,
        age="adult",
        gender="man",
        other_details=words,
    )
    if step:
        folder = generation_dispatcher.folder_of(job.code)
        folder.mkdir(parents=True)
        generation_dispatcher.fill(folder, job)
        folders.prepare(folder)
        background = folders.Inputs.read(folder).background
        noise = Image.effect_noise(background.size, 80).convert("RGB")
        for index in range(1, step):
            record = {"code": job.code, "seed": 1, "steps": []}
            folders.write_picture(noise, folders.picture_path(folder, index), record)
    return job.code, [words.encode()]


def training(service: RunningService) -> tuple[str, list[bytes]]:
    from diffuser_api.models import TrainingPhoto

    code = service.train(f"training {time.time()}").json()["lora_code"]
    photos = [photo.file.read() for photo in TrainingPhoto.objects.filter(job__code=code)]
    return code, [photo[len(photo) // 2 :][:64] for photo in photos]


def found(service: RunningService, needles: list[bytes], code: str, wholly: bool) -> list[str]:
    """Files that hold a needle, working folders and files of the job, and its processes. A cancelled job's
    row stays, so the database is searched only if the job was deleted ``wholly``."""
    left = []
    for place in ("data", "tmp_data", "training-app"):
        for path in (service.folder / place).rglob("*"):
            if code in str(path):
                left.append(str(path))
            elif path.is_file() and (wholly or "sqlite3" not in path.name):
                content = path.read_bytes()
                left += [str(path)] if any(needle in content for needle in needles) else []
    for _, process in service.tree():
        try:
            left += [str(process)] if code in " ".join(process.cmdline()) else []
        except Exception:  # gone meanwhile
            continue
    return left


def measure(service: RunningService, how: str, code: str, needles: list[bytes]) -> float:
    """Seconds from the request until nothing is found."""
    url = f"{service.url}/api/jobs/{code}/"
    start = time.monotonic()
    answer = (
        requests.delete(url, timeout=30) if how == "delete" else requests.post(f"{url}cancel/", timeout=30)
    )
    assert answer.status_code in (202, 204), answer.text
    while left := found(service, needles, code, how == "delete"):
        if time.monotonic() - start > PATIENCE:
            raise SystemExit(f"{how} of {code}, after {PATIENCE} s: {left}")
        time.sleep(0.02)
    return time.monotonic() - start


def wait_for(condition, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the system didn't come so far")
        time.sleep(0.05)


def runs(service: RunningService, code: str, word: str) -> bool:
    for role, process in service.tree():
        try:
            words = " ".join(process.cmdline())
        except Exception:  # gone meanwhile
            continue
        if role in ("step", "trainer") and code in words and word in words:
            return True
    return False


def cases() -> list[tuple[str, int]]:
    generations = [("generation", step) for step in range(len(STEPS) + 1)]
    return [*generations, ("training", 0), ("training", 1)]


def try_case(service: RunningService, case: tuple[str, int], how: str, weights: bytes, later: float) -> float:
    """``later``: seconds after the process of the step has begun."""
    kind, step = case
    if step == 0 or kind == "generation":
        pause_worker(service)
    code, needles = training(service) if kind == "training" else generation_at(service, step, weights)
    if step:
        service.tend()
        wait_for(lambda: runs(service, code, STEPS[step - 1] if kind == "generation" else "train_network"))
        time.sleep(later)
    took = measure(service, how, code, needles)
    service.tend()
    return took


def pause_worker(service: RunningService) -> None:
    """What is laid out for a waiting job is there before it is taken. ``tend`` starts a worker again."""
    service.processes["worker"].terminate()
    service.processes["worker"].wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="cartolina-cancel-") as name:
        folder = Path(name)
        service = RunningService(folder)
        set_up(service)
        weights = make_weights(folder / "models", folder)
        service.tend()
        try:
            wait_for(service.answers)
            print("seconds until nothing is left      cancel            delete")
            for case in cases():
                row = []
                for how in ("cancel", "delete"):
                    times = [
                        try_case(service, case, how, weights, chance.uniform(0, 5))
                        for _ in range(args.repeat)
                    ]
                    row.append(f"median {statistics.median(times):.2f} most {max(times):.2f}")
                print(f"{case[0]:10} {name_of(*case):12}  {row[0]:>22}  {row[1]:>22}", flush=True)
        finally:
            service.stop()


def name_of(kind: str, step: int) -> str:
    if step == 0:
        return "waiting"
    return f"{step} {STEPS[step - 1]}" if kind == "generation" else "training"


if __name__ == "__main__":
    main()
