"""The working folders of jobs. A folder has its job's code as its name, and is on the machine that made it.

It is removed when the job has ended. A job that waits for another attempt keeps it, and a worker on the same
machine continues from it. Other installations, and people who run ``launch.bash``, may have folders in the
same place. So each folder of this installation has a mark, and a sweep removes only marked folders.
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
    """Checkpoints, sample pictures, and the LoRA until it is delivered."""
    return training_app() / "training-output" / code


def make(folder: Path) -> Path:
    """Make the folder if it doesn't exist, and mark it as this installation's."""
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
    """The codes of the jobs that have a working folder of this installation."""
    parents = all_of("")  # with an empty code, these are the parent folders
    return {folder.name for parent in parents for folder in installation.marked(parent)}
