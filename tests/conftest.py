"""Every test has a data folder of its own; ``server_and_worker`` starts the real processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

# Before the settings are read: nothing of a test may reach the folders that people use.
_SCRATCH = Path(tempfile.mkdtemp(prefix="cartolina-tests-"))
os.environ["DATA_DIR"] = str(_SCRATCH / "data")
os.environ["TMP_DATA_DIR"] = str(_SCRATCH / "tmp_data")
os.environ["TRAINING_APP_DIR"] = str(_SCRATCH / "training-app")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OPEN_API"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_LONGEST = (  # first, so that none of them is still running when another process has nothing left to do
    *("test_isolation", "test_studio", "test_train_network", "test_launch", "test_training_dispatcher"),
    *("test_whole_road", "test_survival", "test_sd15_road", "test_generator", "test_timeouts", "test_desk"),
)


def pytest_collection_modifyitems(items):
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_unconfigure(config):
    shutil.rmtree(_SCRATCH, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, settings):
    """The storage's root is empty at the start of each test."""
    settings.MEDIA_ROOT = tmp_path / "data"
    settings.DATA_DIR = tmp_path / "data"
    settings.OPEN_API = True  # tests of tokens switch it off
    settings.TMP_DATA_DIR = tmp_path / "tmp_data"
    settings.TRAINING_APP_DIR = tmp_path / "training-app"
    for folder in (settings.DATA_DIR, settings.TMP_DATA_DIR, settings.TRAINING_APP_DIR):
        folder.mkdir()
    return settings.DATA_DIR


@pytest.fixture
def catalogue(transactional_db):
    """One place with two images, and two actions: "waving" with three shots, "sitting" with one."""
    from benchmarks.harness.catalogue import make_catalogue

    return make_catalogue()


@pytest.fixture
def photos() -> list[bytes]:
    """Five photos of one drawn person, as PNG files."""
    from benchmarks.harness.catalogue import make_photos

    return make_photos()


@pytest.fixture(scope="module")
def server_and_worker(tmp_path_factory):
    """gunicorn and worker with a data folder of their own; both are ended, and must end, at last."""
    from benchmarks.harness.running_service import running

    with running(tmp_path_factory.mktemp("service"), small=False, threads=4) as service:
        yield service
