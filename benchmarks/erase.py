"""Faces erased while everything is busy with them: ``python -m benchmarks.erase --count 200 --seed 1``.

Each erasure meets its face at another stage: pictures that are asked for at that moment, that wait, that are
in each step, that finish, are finished, are looked at by friends with a link or on their page, or are printed
as postcards; trainings that wait or run. One face is not erased by its owner but has expired
(``manage.py retention``), and of one a picture is taken down (``manage.py takedown``) before.
Clients go on asking for pictures with the face, before, during and after. With the answer 204, nothing of the
face may be left: its numbers, its weights, its photos and pictures are searched for by content in every file,
in the pages of the database and in the logs, and by the codes of all jobs that had it; and again when the
clients are done.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import multiprocessing
import random
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from benchmarks.cancel_and_delete import middle, wait_for
from benchmarks.harness.running_service import WISH, RunningService, words_of
from benchmarks.kills import set_up

WAITING = 20  # pictures, at the stage "queued"
CLIENTS = 3  # that ask during an erasure
STEPS = ("pose", "detail", "detail", "harmonize", "face")
STAGES = ["asked", "queued", *(f"step {k}" for k in range(1, 6)), "finishing", "finished", "erased twice"]
SEEN = ("shared", "share page", "postcard")  # finished, and looked at
STAGES += [*SEEN, "training waiting", "training running", "expired", "taken down"]
FINISHED = ("finished", *SEEN, "expired", "taken down")


@dataclass
class Face:
    """``code`` of a LoRA or a training. ``needles``: what nobody may find any more. ``jobs`` had the face."""

    code: str
    needles: list[bytes] = field(default_factory=list)
    jobs: set[str] = field(default_factory=set)
    words: str = ""
    shown: list[str] = field(default_factory=list)  # addresses at which a picture with it is seen
    card: str = ""  # the address that prints one as a postcard


class Crowd:
    """Clients that ask for pictures with a face, and friends who look at one, until the block ends."""

    def __init__(self, service: RunningService, face: Face) -> None:
        self.service, self.face, self.over = service, face, threading.Event()
        self.answers: list[requests.Response] = []
        self.threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        if face.shown or face.card:
            self.threads.append(threading.Thread(target=self._look))

    def _ask(self) -> None:
        while not self.over.is_set():
            self.answers.append(ask(self.service, self.face))

    def _look(self) -> None:
        while not self.over.is_set():
            look(self.face)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        for thread in self.threads:
            thread.join()


def look(face: Face) -> set[int]:
    """The statuses of what is answered to friends and printers."""
    answers = [requests.get(url, timeout=90) for url in face.shown]
    if face.card:
        answers.append(requests.post(face.card, json={"greeting": face.words}, timeout=90))
    return {answer.status_code for answer in answers}


def ask(service: RunningService, face: Face) -> requests.Response:
    wish = WISH | {"selected_lora": face.code, "seed": 1, "other_details": face.words}
    answer = requests.post(f"{service.url}/api/generate-image/", json=wish, timeout=90)
    if answer.ok and answer.json()["lora_used"]:
        face.jobs.add(answer.json()["code"])
    return answer


# --- faces --------------------------------------------------------------------------------------------------


def make_face(tensors: dict, chance: random.Random) -> Face:
    """A trained one, with numbers, weights and words of its own."""
    from django.core.files.base import ContentFile
    from safetensors.torch import save

    from diffuser_api.models import LoraModel

    face = Face(f"{chance.randrange(10**8):08d}")
    faces = [[chance.random() for _ in range(128)] for _ in range(5)]
    face.words = f"a coat with the number {chance.random()}"
    note = f"weights {chance.random()}"
    face.needles = [str(faces[0][0]).encode(), str(faces[4][127]).encode(), note.encode()]
    content = ContentFile(save(tensors, {"note": note}), f"{face.code}.safetensors")
    LoraModel.objects.create(code=face.code, file=content, faces=faces)
    return face


def make_training(service: RunningService) -> Face:
    from diffuser_api.models import TrainingPhoto

    face = Face(service.train(f"training {time.time_ns()}").json()["lora_code"])
    for photo in TrainingPhoto.objects.filter(job__code=face.code):
        with contextlib.suppress(FileNotFoundError), photo.file.open("rb") as file:  # else it has ended
            face.needles.append(middle(file.read()))
        if photo.face:
            face.needles.append(str(photo.face[0]).encode())
    face.jobs.add(face.code)
    return face


def bring_to(stage: str, service: RunningService, face: Face) -> None:
    """Returns when a job with this face is at the stage."""
    from diffuser_api.jobs import folders
    from diffuser_api.models import Job
    from generation.job_folder import newest_index, picture_path

    if stage.startswith("training"):
        status = "running" if stage.endswith("running") else "queued"
        wait_for(lambda: Job.objects.get(code=face.code).status != "queued" or status == "queued", stage)
        return
    for _ in range(WAITING if stage == "queued" else stage != "asked"):
        code = ask(service, face).json()["code"]
    if stage in ("asked", "queued"):
        return
    folder = folders.generation_folder(code)
    before = {"finishing": len(STEPS), **dict.fromkeys(FINISHED, 9)}.get(
        stage, int(stage[5:]) - 1 if "step" in stage else 2
    )

    def is_there() -> bool:
        newest = newest_index(folder)
        return Job.objects.get(code=code).is_finished or (newest is not None and newest >= before)

    wait_for(is_there, stage)
    if newest := newest_index(folder):  # 0 is the empty place
        with contextlib.suppress(FileNotFoundError):  # it has just finished
            face.needles.append(middle(picture_path(folder, newest).read_bytes()))
    if output := Job.objects.get(code=code).output:
        with output.open("rb") as file:
            face.needles.append(middle(file.read()))
    if stage in (*SEEN, "taken down"):
        show(stage, service, face, Job.objects.get(code=code))
        assert look(face) == {200}


def show(stage: str, service: RunningService, face: Face, picture) -> None:
    from django.test import RequestFactory

    from studio import sharing

    if stage == "shared":
        face.shown = [f"{service.url}/data/outputs/{picture.code}"]
    elif stage in ("share page", "taken down"):
        sharing.share(picture, 7)
        address = sharing.url_of(picture, RequestFactory(SERVER_NAME="127.0.0.1").get("/"))
        page = service.url + urlsplit(address).path
        face.shown = [page, f"{page}picture.png", f"{page}small.jpg"]
    else:
        face.card = f"{service.url}/api/jobs/{picture.code}/postcard/"


# --- what is left -------------------------------------------------------------------------------------------


def search(folder: Path, needles: list[bytes], codes: set[str]) -> list[str]:
    """Files that hold a needle or are named by a code. In a process that has no connection to the database,
    since closing one of SQLite's files drops the locks that the process has on it."""
    left = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if any(code in path.name for code in codes):
                left.append(str(path))
            elif path.is_file() and "models" not in path.parts:
                content = path.read_bytes()
                left += [f"{path}: {needle!r}" for needle in needles if needle in content]
    return left


SEARCHER = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def traces(service: RunningService, face: Face) -> list[str]:
    """Files, processes and rows of the face."""
    from diffuser_api.models import Job, LoraModel

    codes = {face.code, *face.jobs}
    left = SEARCHER.submit(search, service.folder, face.needles, codes).result()
    lines = [words_of(one) for _, one in service.tree()]
    left += [line for line in lines if any(code in line for code in codes)]
    rows = [LoraModel.with_erased.filter(code=face.code), Job.objects.filter(code__in=codes)]
    rows.append(Job.objects.filter(lora__code=face.code))
    left += [f"row {row}" for found in rows for row in found]
    with_words = Job.objects.filter(parameters__other_details=face.words) if face.words else []
    return left + [f"row {row}, with the words and the face" for row in with_words if "face" in row.steps]


def expire(face: Face) -> None:
    from diffuser_api.jobs import deletion
    from diffuser_api.models import LoraModel

    LoraModel.objects.filter(code=face.code).update(created_at="2020-01-01T00:00Z")
    deletion.delete_expired()


def take_down(service: RunningService, face: Face, faults: list[str]) -> float:
    """The face's only picture; the seconds. The face stays."""
    from django.core.management import call_command

    picture = Face(*face.jobs, needles=face.needles[-1:], jobs=set(face.jobs), shown=face.shown)
    began = time.monotonic()
    call_command("takedown", picture.code, stdout=io.StringIO())
    took = time.monotonic() - began
    if look(picture) != {404}:
        faults.append("taken down: the picture is still shown")
    faults += [f"taken down, at once: {left}" for left in traces(service, picture)]
    face.shown.clear()
    return took


def erase(service: RunningService, stage: str, face: Face, faults: list[str]) -> float:
    """One erasure amid the crowd; its seconds."""
    kind = "jobs" if stage.startswith("training") else "loras"
    url = f"{service.url}/api/{kind}/{face.code}/"
    with Crowd(service, face) as crowd:
        if stage == "asked":
            wait_for(lambda: face.jobs, "picture with the face")
        if stage == "erased twice":
            other = threading.Thread(target=requests.delete, args=(url,), kwargs={"timeout": 90})
            other.start()
        began = time.monotonic()
        if stage == "expired":
            expire(face)
            status = 204
        else:
            status = requests.delete(url, timeout=90).status_code
        took = time.monotonic() - began
        allowed = (204, 404) if stage == "erased twice" else (204,)
        if look(face) - {404}:
            faults.append(f"{stage}: the picture is still shown")
        if status not in allowed:
            faults.append(f"{stage}: answered {status}")
        if stage != "erased twice":  # the other one may still be at it
            faults += [f"{stage}, at once: {left}" for left in traces(service, face)]
        else:
            other.join()
        asked = len(crowd.answers)
        wait_for(lambda: len(crowd.answers) > asked + CLIENTS, "answer to the clients")
    faults += [f"{stage}: asked for a picture, {one.status_code}" for one in crowd.answers if not one.ok]
    if crowd.answers[-1].ok and crowd.answers[-1].json()["lora_used"]:
        faults.append(f"{stage}: the face is still in use")
    faults += [f"{stage}, later: {left}" for left in traces(service, face)]
    return took


def clear_queue() -> None:
    """Of the pictures without the face that the clients asked for."""
    from diffuser_api.jobs import status_changes
    from diffuser_api.models import Job

    for code in Job.objects.filter(status__in=status_changes.UNFINISHED).values_list("code", flat=True):
        status_changes.cancel(code)


def try_all(service: RunningService, tensors: dict, count: int, chance: random.Random) -> list[str]:
    seconds, jobs, faults = collections.defaultdict(list), collections.Counter(), []
    for number in range(count):
        stage = STAGES[number % len(STAGES)]
        face = make_training(service) if stage.startswith("training") else make_face(tensors, chance)
        bring_to(stage, service, face)
        if stage.startswith(("step", "training")):
            time.sleep(chance.uniform(0, 1))
        if stage == "taken down":
            seconds["takedown"].append(take_down(service, face, faults))
        seconds[stage].append(erase(service, stage, face, faults))
        jobs[stage] += len(face.jobs)
        clear_queue()
        service.tend()
    print("stage             erasures  jobs with the face  seconds: median  most")
    for stage, took in seconds.items():
        print(
            f"{stage:16}  {len(took):8}  {jobs[stage]:18}  {statistics.median(took):15.2f}  {max(took):4.2f}"
        )
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cartolina-erase-") as name:
        service = RunningService(Path(name), TRAINING_STEPS="400", MAX_JOBS_WAITING="100000")
        set_up(service)
        from safetensors.torch import load_file

        from benchmarks.harness.small_models import make_lora

        path = make_lora(
            Path(name) / "models" / "inpaint" / "unet", Path(name) / "models" / "lora.safetensors"
        )
        SEARCHER.submit(search, Path(name), [], set()).result()  # its process is there
        try:
            service.start_again()
            faults = try_all(service, load_file(path), args.count, random.Random(args.seed))
            logs = "\n".join(log.read_text() for log in Path(name).glob("*.log"))
        finally:
            service.stop()
    if faults:
        sys.exit("\n".join([*dict.fromkeys(faults), logs[-20_000:] if "Traceback" in logs else ""]))
    print(f"{args.count} faces erased: nothing is left of them")


if __name__ == "__main__":
    main()
