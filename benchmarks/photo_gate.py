"""The photo gate: good photos that are refused, time and memory. ``python -m benchmarks.photo_gate [FOLDER]``

Good photos: five of each of 60 drawn people, and real ones (see benchmarks/faces.py for FOLDER), each also
changed as a phone or a messenger changes it. Then five photos of 12 megapixels, in the formats that phones
send, from the first byte to the last answer, with the processes' own start.
"""

from __future__ import annotations

import collections
import io
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pillow_heif
from PIL import Image

from benchmarks.faces import CHANGES, FACES, read
from benchmarks.isolation import tree_mb
from generation.miniature import demo_content, detectors
from generation.miniature.world import people, scenes
from generation.vision import compare, photo_quality, real_people

PEOPLE = 60
ROOT = Path(__file__).resolve().parent.parent
LOOK_EVERY = 0.003  # seconds between two looks at the memory


def measure_refusals(folder: Path | None) -> None:
    found: collections.Counter[str] = collections.Counter()
    strangers, mixed, photos = 0, 0, 0
    before: dict[int, list[float]] = {}
    for number in range(PEOPLE):
        person = people.random_person(scenes.HELD_OUT + number)
        embeddings = {}
        for k, photo in enumerate(demo_content.photos_of(person, scenes.HELD_OUT + number), start=1):
            findings, face = photo_quality.judge(photo, detectors)
            found.update(finding.code for finding in findings)
            embeddings[k] = detectors.embed_face(photo, face) if face else None
            photos += 1
        strangers += len(compare.strangers({k: e for k, e in embeddings.items() if e is not None}))
        if before:
            mixed += compare.strangers(embeddings | {3: before[3]}) == [3]
        before = embeddings
    print(f"{photos} drawn photos of {PEOPLE} people: {dict(found) or 'none'} refused,", end=" ")
    print(f"{strangers} taken for another person's; another's among five found {mixed} of {PEOPLE - 1} times")

    found, photos = collections.Counter(), 0
    for name in (name for name in FACES if len(FACES[name]) == 1):
        if (picture := read(folder, name)) is None:
            continue
        for label, change in CHANGES.items():
            if label == "a third of the size":
                continue  # too small, and rightly so
            findings, _ = photo_quality.judge(change(picture), real_people)
            found.update(f"{finding.code} ({name}, {label})" for finding in findings)
            photos += 1
    print(f"{photos} real photos, as they are and changed: {dict(found) or 'none'} refused")


def _large(picture: Image.Image, kind: str) -> bytes:
    scale = math.sqrt(12e6 / (picture.width * picture.height))
    size = (round(picture.width * scale), round(picture.height * scale))
    content = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(content, kind, quality=85)
    return content.getvalue()


def _start_gate(folder: str) -> list[subprocess.Popen]:
    """Two processes that share five photos, as ``photos.gate`` does it."""
    environment = {**os.environ, "MODEL_PROFILE": "sd15", "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "generation.vision.gate_process", folder, "40", "look", *share],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for share in ("135", "24")
    ]


def _end(gate: list[subprocess.Popen]) -> None:
    if any(process.wait() for process in gate):
        raise SystemExit("the photo gate failed")


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_cost(folder: Path | None) -> None:
    """Time in one run, memory (PSS: what both share counts once) in another."""
    pillow_heif.register_heif_opener()
    pictures = [picture for name in FACES if len(FACES[name]) == 1 and (picture := read(folder, name))]
    print(
        f"five photos of 12 megapixels: {'MB of files':>16}{'seconds':>9}{'of processor':>14}{'peak MB':>9}"
    )
    for kind in ("JPEG", "PNG", "HEIF", "WEBP"):
        encoded = [_large(pictures[k % len(pictures)], kind) for k in range(5)]
        with tempfile.TemporaryDirectory() as name:
            for number, content in enumerate(encoded, start=1):
                Path(name, str(number)).write_bytes(content)
            began, before = time.perf_counter(), _processor_seconds()
            _end(_start_gate(name))
            seconds, processor = time.perf_counter() - began, _processor_seconds() - before
            gate, peak = _start_gate(name), 0.0
            while any(process.poll() is None for process in gate):
                peak = max(peak, sum(tree_mb(process.pid) for process in gate))
                time.sleep(LOOK_EVERY)
            _end(gate)
        size = sum(map(len, encoded)) / 2**20
        print(f"{kind:<29}{size:>16.1f}{seconds:>9.2f}{processor:>14.2f}{peak:>9.0f}", flush=True)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    measure_refusals(folder)
    measure_cost(folder)


if __name__ == "__main__":
    main()
