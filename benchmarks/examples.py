"""The three pictures on the studio's first page: ``python -m benchmarks.examples LEFT RIGHT FRONT``.

Each argument is a picture that the embedded models painted, without its label. It is scaled, labelled in the
corner that the other cards leave free, marked as made by a machine, and written to the studio's static files.
Choose pictures of whole people, and change the ``alt`` texts in ``home.html`` with them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from benchmarks.harness import ROOT
from generation.marking import label
from generation.marking.source_type import XMP

FOLDER = ROOT / "studio" / "static" / "studio"
SIDE = 400  # pixels: the card's width on a screen of double density, nearly
CORNERS = ("bottom-left", "bottom-right", "bottom-right")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the studio's first page.")
    parser.add_argument("pictures", type=Path, nargs=len(CORNERS))
    for number, (path, corner) in enumerate(zip(parser.parse_args().pictures, CORNERS, strict=True), start=1):
        with Image.open(path) as painted:
            picture = painted.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        marked = label.put(picture, Image.new("L", picture.size), corner, "dark")
        marked.save(FOLDER / f"example-{number}.jpg", quality=85, xmp=XMP.encode())


if __name__ == "__main__":
    main()
