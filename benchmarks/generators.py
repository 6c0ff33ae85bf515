"""One process per step against one process in all: the same request, in turns. ``make bench``.

Prints seconds for the whole picture and for each step, split into import, load and inference, and the peak
memory of the largest process. The classic generator pays the import once and its memory only grows.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from generation import generator
from generation.miniature import demo_content
from generation.request import GenerationRequest

RUNS = 3
_CLASSIC = """
import json, resource, sys, time
from pathlib import Path
start = time.perf_counter()
from generation import generator_classic
generator_classic.generate(Path(sys.argv[1]))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": time.perf_counter() - start, "mb": usage.ru_maxrss / 1024}))
"""


def write_request(folder: Path) -> None:
    place = demo_content.places()[0].images[0]
    shot = demo_content.make_shot("waving", "MES")
    place.picture.save(folder / "background.png")
    shot.skeleton.save(folder / "skeleton.png")
    shot.subject_mask.save(folder / "subject-mask.png")
    shot.face_mask.save(folder / "face-mask.png")
    GenerationRequest(
        code="00000000",
        profile="miniature",
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
    ).save(folder)


def run_processes() -> tuple[float, list[dict]]:
    """Seconds for the picture, and the steps' own reports."""
    with tempfile.TemporaryDirectory() as folder:
        write_request(Path(folder))
        events, start = [], time.perf_counter()
        generator.generate(Path(folder), events.append)
        return time.perf_counter() - start, [event for event in events if event["event"] == "step"]


def run_classic() -> dict:
    with tempfile.TemporaryDirectory() as folder:
        write_request(Path(folder))
        command = [sys.executable, "-c", _CLASSIC, folder]
        done = subprocess.run(command, cwd=generator.ROOT, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    seconds, reports, classic = [], [], []
    for _ in range(RUNS):
        whole, steps = run_processes()
        seconds.append(whole)
        reports.append(steps)
        classic.append(run_classic())
    parts = ("import_seconds", "load_seconds", "inference_seconds", "peak_rss_mb")
    print(f"{platform.machine()}, {os.cpu_count()} cores, medians of {RUNS}")
    print(f"{'step':<12}{'import s':>10}{'load s':>10}{'paint s':>10}{'peak MB':>10}")
    for index, step in enumerate(reports[0]):
        values = [statistics.median(run[index][part] for run in reports) for part in parts]
        print(f"{step['step']:<12}" + "".join(f"{value:>10.1f}" for value in values))
    ours, theirs = statistics.median(seconds), statistics.median(run["seconds"] for run in classic)
    print(f"generator.py          {ours:6.1f} s   (from {min(seconds):.1f} to {max(seconds):.1f})")
    print(f"generator_classic.py  {theirs:6.1f} s   peak {max(run['mb'] for run in classic):.0f} MB")
    print(f"ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
