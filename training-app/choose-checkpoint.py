#!/usr/bin/env python3
"""Make the checkpoint that paints the visitor best the LoRA: choose-checkpoint.py OUTPUT CODE PHOTOS.

At some of its steps the trainer paints the face into OUTPUT/sample. These pictures are compared with the
faces in PHOTOS by the face detector and embedder of the model profile (MODEL_PROFILE). The checkpoint with
the smallest distance becomes OUTPUT/CODE.safetensors; if two are equal, the later. OUTPUT/likeness.json gets
the step and all distances. If nothing can be compared, no file is written. Works without torch.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
from pathlib import Path
from types import ModuleType

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from generation.vision import detectors as profile_detectors  # noqa: E402  the import needs the path above

NO_FACE = 1.5  # the distance of a picture that shows no face: farther than any stranger's
PICTURES = ("*.png", "*.jpg", "*.jpeg", "*.webp")


def embed(path: Path, detectors: ModuleType) -> list[float] | None:
    """The largest face's embedding; None where there is no face."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    faces = detectors.find_faces(picture)
    return list(detectors.embed_face(picture, faces[0])) if faces else None


def distance(picture: Path, photos: list[list[float]], detectors: ModuleType) -> float:
    """The median distance to the photos' faces."""
    face = embed(picture, detectors)
    return NO_FACE if face is None else statistics.median(math.dist(face, photo) for photo in photos)


def checkpoints(output: Path, code: str) -> dict[int, tuple[Path, list[Path]]]:
    """Step to the LoRA of that step and its sample pictures. The last pictures are the finished LoRA's."""
    pictures: dict[int, list[Path]] = {}
    for path in sorted(output.glob(f"sample/{code}_*.png")):
        if matched := re.fullmatch(rf"{code}_(\d+)_\d+\.png", path.name):
            pictures.setdefault(int(matched[1]), []).append(path)
    files = {step: output / f"{code}-step{step:08d}.safetensors" for step in pictures}
    if files and not files[max(files)].exists():
        files[max(files)] = output / f"{code}.safetensors"
    return {step: (file, pictures[step]) for step, file in files.items() if file.exists()}


def choose(output: Path, code: str, photos: Path, detectors: ModuleType) -> dict | None:
    """The content of likeness.json: ``{"step": int, "distances": {step: float}}``."""
    found = [embed(path, detectors) for pattern in PICTURES for path in sorted(photos.rglob(pattern))]
    known, candidates = [face for face in found if face], checkpoints(output, code)
    if not known or not candidates:
        return None
    distances = {
        step: round(statistics.mean(distance(picture, known, detectors) for picture in pictures), 3)
        for step, (_, pictures) in sorted(candidates.items())
    }
    best = min(distances, key=lambda step: (distances[step], -step))
    if (file := candidates[best][0]) != output / f"{code}.safetensors":
        file.replace(output / f"{code}.safetensors")
    return {"step": best, "distances": distances}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("code")
    parser.add_argument("photos", type=Path)
    args = parser.parse_args()
    if chosen := choose(args.output, args.code, args.photos, profile_detectors()):
        (args.output / "likeness.json").write_text(json.dumps(chosen))
        print(f"of {len(chosen['distances'])} checkpoints, step {chosen['step']} is chosen", file=sys.stderr)


if __name__ == "__main__":
    main()
