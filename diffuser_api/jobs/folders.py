"""The working folders of jobs. Each bears its job's code and is local to the worker that runs the job.

It is removed when the job has ended. A job that waits for another attempt keeps it and goes on from there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings


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


def remove(code: str) -> None:
    for folder in (generation_folder(code), training_input(code), training_output(code)):
        shutil.rmtree(folder, ignore_errors=True)


def names() -> set[str]:
    """The names of whatever lies where working folders lie."""
    no_code = ""  # a folder without its last part is the folder of them all
    parents = (generation_folder(no_code), training_input(no_code), training_output(no_code))
    return {path.name for parent in parents if parent.is_dir() for path in parent.iterdir()}
