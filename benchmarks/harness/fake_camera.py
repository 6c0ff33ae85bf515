"""A camera for Chromium that shows pictures instead of the world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (640, 480)
ARGUMENTS = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def arguments(video: Path) -> list[str]:
    """For Chromium: no question to the visitor, and this video, again and again."""
    return [*ARGUMENTS, f"--use-file-for-fake-video-capture={video}"]


def write_video(pictures: list[Image.Image], path: Path) -> Path:
    """A Y4M file that shows each picture for half a second, as large as the frame's height."""
    header = f"YUV4MPEG2 W{SIZE[0]} H{SIZE[1]} F2:1 Ip A1:1 C420\n".encode()
    path.write_bytes(header + b"".join(map(_frame, pictures)))
    return path


def _frame(picture: Image.Image) -> bytes:
    frame = Image.new("RGB", SIZE, "#b9c4cc")
    shown = picture.convert("RGB").resize((SIZE[1], SIZE[1]))
    frame.paste(shown, ((SIZE[0] - SIZE[1]) // 2, 0))
    planes = np.asarray(frame.convert("YCbCr"))
    # Of both colours, one value for four pixels; and the range of video, which is narrower than a picture's.
    light = (16 + planes[..., 0].astype(float) * 219 / 255).round().astype(np.uint8)
    colours = (128 + (planes[::2, ::2, 1:].astype(float) - 128) * 224 / 255).round().astype(np.uint8)
    return b"FRAME\n" + light.tobytes() + colours[..., 0].tobytes() + colours[..., 1].tobytes()
