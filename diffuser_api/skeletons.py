"""From what an editor uploaded to the skeleton that ControlNet gets; made once, when it is saved."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.files.base import ContentFile

from diffuser_api.models import ActionImage

SECONDS = 300  # a detector that isn't cached yet has to be downloaded


class NoSkeleton(Exception):
    """The text says what an editor can do."""


def skeleton_of(kind: str, image) -> ContentFile:
    """The skeleton's file. A pose is detected in a process of its own, so that no torch is loaded here."""
    image.open("rb")
    content = image.read()
    image.seek(0)
    if kind == ActionImage.Kind.SKELETON:
        return ContentFile(content, name=Path(image.name).name)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "skeleton.png")
        source.write_bytes(content)
        command = [sys.executable, "-m", "generation.skeleton", str(source), str(target)]
        try:
            done = subprocess.run(
                command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise NoSkeleton(
                "Finding the pose took too long; upload an OpenPose skeleton instead."
            ) from error
        if done.returncode or not target.exists():
            lines = done.stderr.strip().splitlines()
            raise NoSkeleton(
                lines[-1] if lines else "No pose was found; upload an OpenPose skeleton instead."
            )
        return ContentFile(target.read_bytes(), name=f"{Path(image.name).stem}-skeleton.png")
