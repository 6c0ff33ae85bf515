"""An editor's font, before it is stored: ``font_process`` reads it first, since a broken one can take all
memory."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.files import File

from diffuser_api.operations import disk
from diffuser_api.photos import gate
from diffuser_api.postcards import font_process

SECONDS = 60


class NotAFont(ValueError):
    pass


def check(font: File) -> None:
    """Raises NotAFont for a file that can't be embedded, and disk.NoRoom."""
    with tempfile.TemporaryDirectory(prefix=gate.FOLDER_PREFIX, dir=settings.TMP_DATA_DIR) as folder:
        path = Path(folder) / "font"
        with path.open("wb") as target:
            target.writelines(font.chunks())
        try:
            done = gate.run_module("diffuser_api.postcards.font_process", path, seconds=SECONDS)
        except subprocess.TimeoutExpired as late:
            raise NotAFont from late
    if done.returncode < 0 or done.returncode == font_process.NO_FONT:
        raise NotAFont
    if done.returncode:
        if disk.is_full():
            raise disk.NoRoom
        raise RuntimeError(f"the look at a font failed: {done.stderr.decode(errors='replace')[-2000:]}")
