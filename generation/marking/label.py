"""The visible label: the letters AI in a corner of the picture, for the people who see it.

Whoever publishes a picture of real people in a scene that never took place has to say so at first sight.
"""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

TEXT = "AI"
CORNERS = ("bottom-right", "bottom-left", "top-right", "top-left")
LOOKS = {  # letters, ground
    "dark": ((255, 255, 255, 255), (0, 0, 0, 190)),
    "light": ((0, 0, 0, 255), (255, 255, 255, 215)),
}
HEIGHT, LEAST = 0.07, 16  # of the picture's shorter side; pixels
Box = tuple[int, int, int, int]  # left, top, right, bottom


def put(picture: Image.Image, face_mask: Image.Image, corner: str, look: str) -> Image.Image:
    """A copy with the label in this corner; in another one if the face is there. ``face_mask``: of the
    picture's size, white where the face is."""
    left, top, right, bottom = box = place(picture.size, face_mask, corner)
    letters, ground = LOOKS[look]
    height = bottom - top
    # Drawn large and made smaller, so that the edges are smooth.
    drawn = Image.new("RGBA", (4 * (right - left), 4 * height), (*ground[:3], 0))
    pen = ImageDraw.Draw(drawn)
    pen.rounded_rectangle((0, 0, drawn.width - 1, drawn.height - 1), radius=height, fill=ground)
    font = ImageFont.load_default(size=3.1 * height)
    pen.text((drawn.width / 2, drawn.height / 2), TEXT, letters, font, anchor="mm", stroke_width=height / 14)
    small = drawn.resize((right - left, height), Image.Resampling.LANCZOS)
    marked = picture.copy()
    marked.paste(small, box[:2], small)
    return marked


def place(size: tuple[int, int], face_mask: Image.Image, corner: str) -> Box:
    """Where the label goes: of the corners, the first that is free of the face, the wished one before all."""
    wished = (corner, *(other for other in CORNERS if other != corner))
    boxes = [_box(size, name) for name in wished]
    return min(boxes, key=lambda box: _covered(face_mask, box))  # of equal ones, the first


def _box(size: tuple[int, int], corner: str) -> Box:
    height = max(LEAST, round(HEIGHT * min(size)))
    width, margin = round(1.7 * height), max(3, height // 4)
    left = margin if corner.endswith("left") else size[0] - margin - width
    top = margin if corner.startswith("top") else size[1] - margin - height
    return left, top, left + width, top + height


def _covered(face_mask: Image.Image, box: Box) -> int:
    """How many pixels of the face are under it."""
    return sum(face_mask.convert("L").crop(box).histogram()[1:])
