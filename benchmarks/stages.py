"""Where the seconds of one picture go: ``python -m benchmarks.stages [ROUNDS]``, part of ``make bench``.

A worker paints a picture with a LoRA, as it does for a visitor: it claims the job, runs the steps in
processes of their own, marks, signs and stores the picture. Each stage that takes 1 % of that time or more is
a row. Its seconds are its own: those of a stage inside it are that stage's. The same picture is painted by
resident processes, which fork nothing and have done each step before. The last columns compare the two.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

from PIL import Image

from benchmarks.harness import ROOT, stopwatch
from benchmarks.harness.stopwatch import WAITING, Stage, Stopwatch
from generation.processes import isolation, step_server
from generation.step_table import ORDER

WAYS = {"template": isolation.Template, "resident": isolation.Resident}
LEAST = 0.01  # of a picture's time: the smallest stage that has a row
STEP = "step "
ACTION = {"action__name": "waving", "shot_type": "MES"}
STAGES = (
    Stage("diffuser_api.jobs.runner:run_next", "picture"),
    Stage("diffuser_api.jobs.status_changes:claim_next", "claim the job"),
    Stage("diffuser_api.jobs.run_generation:fill", "lay out the job's files"),
    Stage("diffuser_api.jobs.run_generation:follow", "progress into the database", whole=True),
    Stage("diffuser_api.jobs.copies:Copies.store_if_due", "copies for other workers", whole=True),
    Stage("generation.job_folder:read_canvas", "read and fit place, skeleton, masks"),
    Stage("generation.generator:run_step", STEP + "{1} {0}"),
    Stage("generation.processes.step_server:Server.run", WAITING),
    Stage("diffuser_api.marking.finish:_labelled", "label", whole=True),
    Stage("diffuser_api.marking.signing:sign_finished", "sign (C2PA)", whole=True),
    Stage("diffuser_api.jobs.status_changes:finish_generation", "store the picture", whole=True),
    Stage("diffuser_api.jobs.status_changes:clear_up", "remove the working files", whole=True),
    Stage("PIL.Image:Image.save", "PNG, written", whole=True),
    Stage("PIL.ImageFile:ImageFile.load", "PNG, read"),
)
Seconds = dict[tuple[str, str], float]  # by step ("" for the worker's own work) and stage


def prepare(folder: Path) -> None:
    """A database and folders of its own for this process, with the demo's places and actions."""
    names = ("DATA_DIR", "TMP_DATA_DIR", "TRAINING_APP_DIR")
    os.environ |= {name: str(folder / name) for name in names}
    os.environ |= {"DJANGO_SETTINGS_MODULE": "djangoproject.settings", "LOG_LEVEL": "WARNING"}
    os.environ.pop("DATABASE_URL", None)
    import django

    django.setup()
    for command in ("migrate", "load_demo"):
        subprocess.run(
            [sys.executable, "manage.py", command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )


def make_lora(folder: Path):
    """A visitor's LoRA of the trainer's shape, with random weights. Another process writes it, with torch."""
    from django.core.files.base import ContentFile

    from diffuser_api.models import LoraModel

    path = folder / "lora.safetensors"
    write = "import sys, pathlib; from benchmarks.pixels import write_lora; "
    write += "write_lora(pathlib.Path(sys.argv[1]), rank=16)"
    subprocess.run([sys.executable, "-c", write, path], cwd=ROOT, check=True)
    row = LoraModel(code="00000001")
    row.file.save("00000001.safetensors", ContentFile(path.read_bytes()), save=False)
    row.save()
    return row


def recognise(lora, picture: Path) -> None:
    """The face in a picture becomes the visitor's. Then a face is chosen and measured, as for a visitor, and
    the next pictures are not painted again."""
    from diffuser_api.models import ActionImage
    from generation.models.profiles import get_profile
    from generation.picture.canvas import fit_mask
    from generation.vision import detectors_of, likeness

    detectors = detectors_of(get_profile())
    with Image.open(picture) as painted, ActionImage.objects.get(**ACTION).face_mask.open() as file:
        mask = fit_mask(Image.open(file).convert("L"), painted.size)
        seen = likeness.look_closely(painted.convert("RGB"), mask, detectors)
    if not (seen and seen.face):
        raise SystemExit("no face was painted that could be a visitor's")
    lora.faces = [detectors.embed_face(seen.picture, seen.face).tolist()]
    lora.save()


def order(lora):
    from diffuser_api.jobs import orders
    from diffuser_api.models import ActionImage, PoiImage

    return orders.create_job(
        orders.GenerationOrder(
            poi_image=PoiImage.objects.order_by("pk").first(),
            action_image=ActionImage.objects.get(**ACTION),
            lora=lora,
            age="adult",
            gender="woman",
            other_details="a red coat",
            seed=1,
        )
    )


def paint(lora) -> Path:
    """The path of a picture that is painted now."""
    from django.conf import settings

    from diffuser_api.jobs import runner

    job = order(lora)
    assert runner.run_next(settings.WORKER_STEPS, lambda: False)
    job.refresh_from_db()
    if job.status != "succeeded":
        raise SystemExit(f"the picture is {job.status}: {job.error_message}")
    return Path(job.output.path)


def measure(rounds: int) -> dict[str, Seconds]:
    """The medians of each way, which take turns. Each paints one picture before, for its models."""
    with tempfile.TemporaryDirectory(prefix="cartolina-stages-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        prepare(folder)
        lora, spans = make_lora(folder), folder / "spans"
        spans.mkdir()
        stack.enter_context(mock.patch.object(step_server, "start_module", _timed(spans)))
        ways = {way: stack.enter_context(contextlib.closing(made())) for way, made in WAYS.items()}
        watch = Stopwatch()
        watch.watch(STAGES)
        first = _picture(ways["template"], lora)
        recognise(lora, first)
        found: dict[str, list[Seconds]] = {way: [] for way in WAYS}
        for number in range(rounds + 1):
            pictures = set()
            for way, made in ways.items():
                watch.forget()
                for path in spans.iterdir():
                    path.unlink()
                with Image.open(_picture(made, lora)) as picture:
                    pictures.add(picture.convert("RGB").tobytes())
                if number:
                    together = stopwatch.together(watch.spans, stopwatch.saved(spans))
                    found[way].append(stopwatch.own_seconds(together, STEP))
            if len(pictures) > 1:
                raise SystemExit("the ways painted different pictures")
    return {way: _medians(runs) for way, runs in found.items()}


def _timed(spans: Path):
    start = step_server.start_module

    def start_timed(arguments: list[str], *streams) -> subprocess.Popen:
        module, *rest = arguments
        return start(["benchmarks.harness.timed_server", module, str(spans), *rest], *streams)

    return start_timed


def _picture(way, lora) -> Path:
    with mock.patch.object(isolation, "chosen", lambda: way):
        return paint(lora)


def _medians(runs: list[Seconds]) -> Seconds:
    keys = {key for run in runs for key in run}
    return {key: statistics.median(run.get(key, 0.0) for run in runs) for key in keys}


def table(seconds: dict[str, Seconds]) -> str:
    """Stages by steps, the largest first."""
    template, resident = (seconds[way] for way in WAYS)
    whole = sum(template.values())
    sums, warm = _by_stage(template), _by_stage(resident)
    shown = [name for name, _ in sums.most_common() if max(sums[name], warm[name]) >= LEAST * whole]
    parts = ["", *(f"{STEP}{index} {name}" for index, name in enumerate(ORDER, 1))]
    heads = ["stage", "all, s", "share", "around the steps", *(part.removeprefix(STEP) for part in parts[1:])]
    lines = ["| " + " | ".join([*heads, "resident, s", "more than resident, s"]) + " |"]
    lines += ["| --- " * (len(heads) + 2) + "|"]
    small = [name for name in sums if name not in shown]
    for names in [*([name] for name in shown), small, list(sums)]:
        title = names[0] if len(names) == 1 else f"{len(names)} smaller stages"
        title = "the whole picture" if len(names) == len(sums) else title
        cells = [sum(template.get((part, name), 0.0) for name in names) for part in parts]
        other = sum(warm[name] for name in names)
        row = [title, f"{sum(cells):.3f}", f"{sum(cells) / whole:.1%}", *(_cell(value) for value in cells)]
        lines.append("| " + " | ".join([*row, f"{other:.3f}", f"{sum(cells) - other:+.3f}"]) + " |")
    ratio = whole / sum(resident.values())
    return "\n".join(lines) + f"\n\nAn isolated picture takes {ratio:.2f} of a resident process's time."


def _by_stage(seconds: Seconds) -> Counter[str]:
    sums: Counter[str] = Counter()
    for (_, name), value in seconds.items():
        sums[name] += value
    return sums


def _cell(value: float) -> str:
    return f"{value:.3f}" if value >= 0.0005 else ""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(table(measure(rounds)))


if __name__ == "__main__":
    main()
