"""Is the visitor's LoRA of use before the face step? ``python -m benchmarks.body_lora``.

Held-out people get a LoRA each. The requests of ``strangers`` are painted, seed for seed, with the LoRA at
each of ``SCALES`` in pose, detail and harmonize (``BODY_LORA``). The face step is the same for all. The judge
of the quality table reads the pictures. The sheet has a row for each request: two of the photos, then for
each scale the picture before the face step and the finished one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.judge import identity, rows
from benchmarks.judge.painted import Painted, PaintedVisitor
from benchmarks.judge.table import HEADER
from benchmarks.quality import ROOT, Visitor, say, trained_visitor
from benchmarks.strangers import Request
from generation.miniature import demo_content
from generation.miniature.world import joints

SCALES = (0.0, 0.6)
CELL, TITLE = 192, 28  # pixels on the sheet


def painted_at(scale: float, work: Path, request: Request, visitor: Visitor) -> Painted:
    os.environ["BODY_LORA"] = str(scale)
    return visitor.paint(work, f"{request.name}-{scale:g}", request.scene, request.seed)


def draw_sheet(lines: list[list[Image.Image]], path: Path) -> None:
    """``lines``: for each request its pictures from left to right."""
    sheet = Image.new("RGB", (len(lines[0]) * CELL, TITLE + len(lines) * CELL), "white")
    draw = ImageDraw.Draw(sheet)
    titles = ["two of the photos", ""]
    titles += [f"LoRA {scale:g}: {what}" for scale in SCALES for what in ("before the face", "finished")]
    for column, title in enumerate(titles):
        draw.text((column * CELL + 6, 8), title, fill="black")
    for y, line in enumerate(lines):
        for x, picture in enumerate(line):
            small = picture.resize((CELL, CELL), Image.Resampling.LANCZOS)
            sheet.paste(small, (x * CELL, TITLE + y * CELL))
    sheet.save(path, quality=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--shown", type=int, default=4, help="people on the sheet")
    parser.add_argument("--work", type=Path, help="a folder that keeps the LoRAs for another run")
    parser.add_argument("--sheet", type=Path, default=ROOT / "docs" / "body-lora.jpg")
    args = parser.parse_args()
    found: dict[float, list[PaintedVisitor]] = {scale: [] for scale in SCALES}
    lines: list[list[Image.Image]] = []
    with tempfile.TemporaryDirectory(prefix="cartolina-body-lora-") as name:
        work = Path(name)
        for done, number in enumerate(identity.TRAINED[: args.people], start=1):
            visitor = trained_visitor(number, args.work or work)
            photos = demo_content.photos_of(visitor.person, visitor.seed)[:2]
            for request in (Request(number, shot) for shot in joints.SHOT_TYPES):
                line = list(photos)
                for scale in SCALES:
                    picture = painted_at(scale, work, request, visitor)
                    found[scale].append(PaintedVisitor(number, request.shot, picture))
                    line += [picture.steps[4], picture.last]
                if done <= args.shown:
                    lines.append(line)
            say(f"painted person {done} of {args.people}")
    draw_sheet(lines, args.sheet)
    for scale, visitors in found.items():
        table, also = rows.visitor_rows(visitors)
        limbs = rows.whole_limbs_row([visitor.painted for visitor in visitors])
        print(f"LoRA {scale:g} before the face step", HEADER, sep="\n")
        print(*(row.line() for row in [*table, *also, limbs]), sep="\n")
    print(args.sheet)


if __name__ == "__main__":
    main()
