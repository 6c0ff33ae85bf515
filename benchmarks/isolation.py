"""Where a step's process comes from, and what it costs: template, spawn, resident and the classic generator.
With ``--ways``, also next to a plain script on diffusers that does the same work (``plain_diffusers``).

    python -m benchmarks.isolation                                   a few minutes; part of ``make bench``
    python -m benchmarks.isolation --rounds 10 --growth 50 --save benchmarks/isolation

Each way has a worker of its own that stays. In each round, every way paints the same request with the same
LoRA, in turns, so that all meet alike what else the machine does; all pictures must be the same, pixel for
pixel. A step's time is from the last denoising step before it to its own last one, which can be seen in all
ways. Memory is PSS (what is shared counts once), of a worker and all its children, in a round of its own,
since reading it takes time. ``--save`` writes the table and, with matplotlib, a plot.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageChops

from benchmarks.harness.small_models import make_lora
from generation import generator
from generation.miniature import demo_content
from generation.models import hub
from generation.models.profiles import get_profile
from generation.processes import isolation, omp
from generation.request import GenerationRequest
from generation.step_table import ORDER

WAYS = ("classic", "template", "spawn", "resident", "plain")
LORAS = 10
SECONDS_BETWEEN_LOOKS = 0.2  # at memory
# A worker: paints the folders that it reads the names of; tells when it was how far, and what was written.
_WORKER = """
import json, sys, time
from pathlib import Path
if sys.argv[1] == "classic":
    from generation import generator_classic as painter
elif sys.argv[1] == "plain":
    from benchmarks import plain_diffusers as painter
else:
    from generation import generator as painter
from generation.processes.streams import written_bytes
for line in sys.stdin:
    marks, before, start = {}, written_bytes(), time.monotonic()
    told = {"reports": [], "marks": marks}
    def on_event(event):
        if event["event"] == "progress":
            marks[event["index"]] = time.monotonic() - start
        elif event["event"] == "step":
            told["reports"].append(event)
    told["picture"] = str(painter.generate(Path(line.strip()), on_event))
    told["seconds"] = time.monotonic() - start
    own = (written_bytes() - before) / 2**20
    told["written_mb"] = own + sum(report["written_mb"] for report in told["reports"])
    print(json.dumps(told), flush=True)
"""


@dataclass
class Worker:
    """One way's process, and what it has been seen to take. The first picture, a cold one, stands apart."""

    way: str
    process: subprocess.Popen
    first_seconds: float = 0.0
    runs: list[dict] = field(default_factory=list)
    peak_mb: float = 0.0
    after_each_mb: list[float] = field(default_factory=list)

    def paint(self, folder: Path) -> dict:
        self.process.stdin.write(f"{folder}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def seconds(self) -> list[float]:
        return [run["seconds"] for run in self.runs]

    def step_seconds(self, index: int) -> list[float]:
        return [run["marks"][str(index)] - run["marks"].get(str(index - 1), 0.0) for run in self.runs]

    def until_painting(self) -> list[float]:
        reports = [report for run in self.runs for report in run["reports"]]
        return [report["import_seconds"] + report["load_seconds"] for report in reports]


def write_request(folder: Path, lora: Path | None = None) -> Path:
    place = demo_content.places()[0].images[0]
    shot = demo_content.make_shot("waving", "MES")
    place.picture.save(folder / "background.png")
    shot.skeleton.save(folder / "skeleton.png")
    shot.subject_mask.save(folder / "subject-mask.png")
    shot.face_mask.save(folder / "face-mask.png")
    if lora:
        (folder / "lora.safetensors").write_bytes(lora.read_bytes())
    GenerationRequest(
        code="00000000",
        profile=get_profile().name,
        seed=1,
        background="background.png",
        skeleton="skeleton.png",
        subject_mask="subject-mask.png",
        face_mask="face-mask.png",
        age="adult",
        gender="woman",
        action_description="waving with one hand raised",
        other_details="a red coat",
        place_description=place.description,
        lora="lora.safetensors" if lora else None,
        lora_code="00000001" if lora else None,
    ).save(folder)
    return folder


def start(way: str) -> Worker:
    environment = os.environ | omp.waiting() | {"STEP_ISOLATION": way if way in isolation.WAYS else ""}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    command = [sys.executable, "-c", _WORKER, way]
    return Worker(way, subprocess.Popen(command, cwd=generator.ROOT, env=environment, **pipes))


def one_round(workers: list[Worker], lora: Path, note) -> None:
    """Every way paints once, beginning with another one each time; the pictures of ours must be the same."""
    pictures = {}
    with tempfile.TemporaryDirectory() as folder:
        for worker in workers:
            own = Path(folder, worker.way)
            own.mkdir()
            run = worker.paint(write_request(own, lora))
            note(worker, run)
            if worker.way != "plain":
                pictures[worker.way] = Image.open(run["picture"]).convert("RGB")
    for (one, picture), (other, same) in itertools.pairwise(pictures.items()):
        if ImageChops.difference(picture, same).getbbox():
            raise SystemExit(f"{other} painted another picture than {one}")
    workers.append(workers.pop(0))


# --- memory -------------------------------------------------------------------------------------------------


def tree_mb(pid: int) -> float:
    """PSS of a process and its descendants."""
    total = 0.0
    with contextlib.suppress(OSError):  # ended meanwhile
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        total += sum(tree_mb(int(child)) for child in children)
    return total


def peak_during(worker: Worker, work) -> None:
    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            worker.peak_mb = max(worker.peak_mb, tree_mb(worker.process.pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        work()
    finally:
        over.set()
        looking.join()


def measure_memory(workers: list[Worker], loras: list[Path], pictures: int) -> None:
    """The peak over one picture each; then, of template and classic, memory after each of so many more."""
    for worker in workers:
        with tempfile.TemporaryDirectory() as folder:
            request = write_request(Path(folder), loras[0])
            peak_during(worker, lambda worker=worker, request=request: worker.paint(request))
    for number in range(pictures):
        if number % 10 == 0:
            say(f"memory: picture {number + 1} of {pictures}")
        for worker in workers:
            if worker.way in ("template", "classic"):
                with tempfile.TemporaryDirectory() as folder:
                    worker.paint(write_request(Path(folder), loras[number % len(loras)]))
                time.sleep(0.2)  # until a child has gone
                worker.after_each_mb.append(tree_mb(worker.process.pid))


# --- what is told -------------------------------------------------------------------------------------------


def machine() -> str:
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    name = models[0].partition(": ")[2] if models else platform.machine()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "diffusers"))
    return (
        f"{name}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, {versions}"
    )


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(workers: list[Worker]) -> str:
    workers = sorted(workers, key=lambda worker: WAYS.index(worker.way))
    steps = [f"{index} {name}" for index, name in enumerate(ORDER, 1)]
    rows = [
        ("whole picture, s", [_spread(worker.seconds()) for worker in workers]),
        *(
            (f"step {step}, s", [_spread(worker.step_seconds(index)) for worker in workers])
            for index, step in enumerate(steps, 1)
        ),
        ("a step asked for until it paints, s", [_spread(worker.until_painting()) for worker in workers]),
        ("first picture, cold, s", [f"{worker.first_seconds:.1f}" for worker in workers]),
        ("peak PSS of the worker's tree, MB", [f"{worker.peak_mb:.0f}" for worker in workers]),
        ("written per picture, MB", [_spread([run["written_mb"] for run in w.runs]) for w in workers]),
    ]
    grown = [worker.after_each_mb for worker in workers]
    if any(len(values) > 5 for values in grown):
        pictures = max(map(len, grown))
        texts = [f"{v[4]:.0f} to {v[-1]:.0f} ({v[-1] / v[4] - 1:+.1%})" if len(v) > 5 else "-" for v in grown]
        rows.append((f"PSS after picture 5 and {pictures}, MB", texts))
    lines = [
        "| | " + " | ".join(worker.way for worker in workers) + " |",
        "| --- " * (len(workers) + 1) + "|",
    ]
    lines += [f"| {name} | " + " | ".join(values) + " |" for name, values in rows]
    medians = {worker.way: statistics.median(worker.seconds()) for worker in workers}
    ratios = [
        f"{medians['template'] / medians[other]:.2f} of {other}'s"
        for other in ("classic", "spawn", "resident", "plain")
        if other in medians and "template" in medians
    ]
    return "\n".join(lines) + (f"\n\nA template's picture takes {', '.join(ratios)} time." if ratios else "")


def plot(workers: list[Worker], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "isolation"
    from matplotlib import pyplot

    workers = sorted(workers, key=lambda worker: WAYS.index(worker.way))
    figure, (times, memory) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    bottom = [0.0] * len(workers)
    for index, name in enumerate(ORDER, 1):
        heights = [statistics.median(worker.step_seconds(index)) for worker in workers]
        times.bar([worker.way for worker in workers], heights, bottom=bottom, label=f"{index} {name}")
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    times.set_ylabel("seconds for a picture")
    times.legend()
    for worker in workers:
        if worker.after_each_mb:
            memory.plot(range(1, len(worker.after_each_mb) + 1), worker.after_each_mb, label=worker.way)
    memory.set(xlabel="pictures", ylabel="MB (PSS) of the worker's tree", ylim=(0, None))
    if memory.lines:
        memory.legend()
    figure.savefig(path, metadata={"Date": None})


def say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def measure(ways: list[str], rounds: int, growth: int = 0) -> list[Worker]:
    """The workers of these ways, ended, with what they were seen to take."""
    workers = [start(way) for way in ways]
    try:
        with tempfile.TemporaryDirectory() as folder:
            unet = hub.folder(get_profile().inpaint_model) / "unet"
            loras = [make_lora(unet, Path(folder, f"{n}.safetensors"), 4 + n) for n in range(LORAS)]
            one_round(workers, loras[0], lambda w, run: setattr(w, "first_seconds", run["seconds"]))
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                one_round(workers, loras[number % LORAS], lambda worker, run: worker.runs.append(run))
            measure_memory(workers, loras, growth)
    finally:
        for worker in workers:
            with contextlib.suppress(OSError):
                worker.process.stdin.close()
            worker.process.wait()
    return workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2, help="after a first one that isn't counted")
    parser.add_argument("--growth", type=int, default=0, metavar="PICTURES", help="to follow memory over")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS[:-1])
    parser.add_argument("--save", type=Path, metavar="NAME", help="write NAME.md and NAME.svg")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    workers = measure(args.ways, args.rounds, args.growth)
    command = "python -m benchmarks.isolation " + " ".join(sys.argv[1:])
    about = f"{machine()}. Load {load:.1f} when it began. Medians (from least to most) of {args.rounds}."
    text = f"{about}\n\n{table(workers)}\n"
    print(text)
    if args.save:
        head = f"# Where a step's process comes from\n\nMade by `{command.strip()}`.\n\n"
        args.save.with_suffix(".md").write_text(head + text)
        plot(workers, args.save.with_suffix(".svg"))


if __name__ == "__main__":
    main()
