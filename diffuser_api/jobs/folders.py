"""The working folders of jobs. Each bears its job's code and is local to the worker that runs the job.

It is removed when the job has ended. A job that waits for another attempt keeps it and goes on from there.
Other installations, and people who run ``launch.bash``, may have folders in the same place: a sweep knows its
own by a mark.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from diffuser_api.operations import installation


def generation_folder(code: str) -> Path:
    """The request, its files and the pictures of the steps."""
    return Path(settings.TMP_DATA_DIR) / code


def training_app() -> Path:
    return Path(settings.TRAINING_APP_DIR).resolve()


def training_input(code: str) -> Path:
    """The photos, as the trainer reads them."""
    return training_app() / "training-input" / code


def training_output(code: str) -> Path:
    """Checkpoints, samples and the LoRA until it is delivered."""
    return training_app() / "training-output" / code


def make(folder: Path) -> Path:
    """The folder, made if it isn't there, and marked as ours."""
    installation.mark(folder)
    folder.mkdir(exist_ok=True)
    return folder


def all_of(code: str) -> tuple[Path, ...]:
    return generation_folder(code), training_input(code), training_output(code)


def remove(code: str) -> None:
    for folder in all_of(code):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            installation.unmark(folder)


def codes() -> set[str]:
    """Of the working folders that this installation has made."""
    parents = all_of("")  # a folder without its last part is the folder of them all
    return {folder.name for parent in parents for folder in installation.marked(parent)}
