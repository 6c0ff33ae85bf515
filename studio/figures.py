"""An action's skeleton drawn as a small figure, cut out like a sticker, which a visitor picks and sees in the
place."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter

from generation.poses import mask_drawing, openpose

SIDE = 420  # pixels of the frame's longer side
INK, EDGE = (200, 68, 44), (255, 252, 245)
LIMB = 0.17  # half of a limb's width, in heights of the head
LEAST = 60  # of 255: darker is the skeleton's background


def draw(skeleton: Image.Image, face_mask: Image.Image, cropped: bool = False) -> Image.Image:
    """The whole frame, RGBA, transparent around the figure; ``cropped``: a square around the figure alone."""
    scale = SIDE / max(skeleton.size)
    size = tuple(max(1, round(side * scale)) for side in skeleton.size)
    red, green, blue = skeleton.convert("RGB").resize(size, Image.Resampling.BILINEAR).split()
    bones = ImageChops.lighter(ImageChops.lighter(red, green), blue).point(lambda v: 255 * (v > LEAST))
    head = _head(skeleton, face_mask).resize(size, Image.Resampling.BILINEAR).point(lambda v: 255 * (v > 127))
    box = head.getbbox()
    limb = max(3.0, LIMB * ((box[3] - box[1]) if box else size[1] / 6))
    bones = ImageChops.subtract(bones, _grown(head, limb / 2))  # no eyes and ears
    body = _shrunk(_grown(bones, 1.3 * limb), 0.5 * limb)  # closed a little: the trunk is no hole
    figure = ImageChops.lighter(body, head).filter(ImageFilter.GaussianBlur(1))
    edge = _grown(figure, 5).filter(ImageFilter.GaussianBlur(1))
    picture = Image.new("RGBA", size, (*EDGE, 0))
    picture.putalpha(edge)
    picture.paste(Image.new("RGBA", size, (*INK, 255)), (0, 0), figure)
    picture.putalpha(ImageChops.lighter(edge, figure))
    return _square(picture) if cropped else picture


def _head(skeleton: Image.Image, face_mask: Image.Image) -> Image.Image:
    """The head alone: a face mask has room for hair as well. The mask where the joints can't be read."""
    joints = openpose.read(skeleton)
    seen = mask_drawing.head_of(joints) if joints else None
    return mask_drawing.bare_head(*seen, skeleton.size) if seen else face_mask.convert("L")


def _grown(mask: Image.Image, radius: float) -> Image.Image:
    """The mask with a round margin, a few pixels at a time, since PIL's own filter is a square."""
    while radius > 0:
        step = min(radius, 3.0)
        blurred = mask.filter(ImageFilter.GaussianBlur(step))
        mask = blurred.point(lambda v: 255 * (v > 40))
        radius -= step
    return mask


def _shrunk(mask: Image.Image, radius: float) -> Image.Image:
    return ImageChops.invert(_grown(ImageChops.invert(mask), radius))


def _square(picture: Image.Image) -> Image.Image:
    left, top, right, bottom = picture.getbbox() or (0, 0, *picture.size)
    side = max(right - left, bottom - top)
    square = Image.new("RGBA", (side, side), (*EDGE, 0))
    square.paste(picture.crop((left, top, right, bottom)), ((side - right + left) // 2, side - bottom + top))
    return square.resize((192, 192), Image.Resampling.LANCZOS)
