"""The whole road over workers that share no folder: one trains, one paints, one paints the face. Each has a
folder of its own, as has the web server; they share the database and the bucket."""

import contextlib
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from django.db import connection
from PIL import Image

from benchmarks.harness import ROOT
from benchmarks.harness.api_client import get_bytes, post_json, post_photos, wait_for
from benchmarks.harness.catalogue import make_photos
from benchmarks.harness.running_service import WISH, running
from benchmarks.harness.running_worker import wait_until

psycopg = pytest.importorskip("psycopg")  # of requirements-scale.txt
pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="runs in: make test-scale")
SECONDS = 400
FOLDERS = {"DATA_DIR": "data", "TMP_DATA_DIR": "tmp_data", "TRAINING_APP_DIR": "training-app"}


@pytest.fixture
def database():
    """The URL of an empty database on the tests' server."""
    values = connection.settings_dict
    server = f"postgres://{values['USER']}@{values['HOST']}:{values['PORT']}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as asking:
        asking.execute("CREATE DATABASE road")
        yield f"{server}/road"
        asking.execute("DROP DATABASE road WITH (FORCE)")


@pytest.fixture
def web(database, s3_server, tmp_path):
    s3_server.empty()
    (tmp_path / "fleet" / "web").mkdir(parents=True)
    shared = {"DATABASE_URL": database, "STORAGE_URL": s3_server.url, "TRAINING_STEPS": "20"}
    with running(tmp_path / "fleet" / "web", small=False, beside=(), threads=4, **shared) as service:
        yield service


@contextlib.contextmanager
def machine(web, steps: str):
    """A worker in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="worker-", dir=web.folder.parent))
    own = {name: str(folder / part) for name, part in FOLDERS.items()}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "worker", "--interval", "0.2"],
            cwd=ROOT,
            env=web.environment | own | {"WORKER_STEPS": steps},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield folder
    finally:
        process.terminate()
        process.wait(60)


def ask(web, lora: str) -> tuple[np.ndarray, dict]:
    """The picture's pixels, and what the API says of its job."""
    wish = WISH | {"other_details": "a red coat", "selected_lora": lora, "seed": 4}
    status, answer = post_json(f"{web.url}/api/generate-image/", wish)
    assert status == 202 and answer["lora_used"]
    last = wait_for(answer["status_url"], SECONDS)[-1]
    assert last["status"] == "succeeded", last
    return np.asarray(Image.open(io.BytesIO(get_bytes(answer["output_url"])))), last


def files_of_jobs(folder) -> list[str]:
    """What a machine has of visitors."""
    kinds = (".png", ".jpg", ".pt", ".safetensors")
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in kinds]


def test_machines_that_share_nothing_make_the_picture_of_a_single_worker(web, s3_server):
    with contextlib.ExitStack() as stack:
        for steps in ("train", "pose,detail,harmonize", "face"):
            stack.enter_context(machine(web, steps))
        status, training = post_photos(f"{web.url}/api/lora-training/", make_photos())
        assert status == 202
        trained = wait_for(training["status_url"], SECONDS)[-1]
        assert trained["status"] == "succeeded", trained
        together, job = ask(web, training["lora_code"])
        assert [step["step"] for step in job["timings"]] == ["pose", "detail", "detail", "harmonize", "face"]
        folders = [path for path in web.folder.parent.iterdir() if path.is_dir()]
        assert len(folders) == 4
        wait_until(lambda: not any(map(files_of_jobs, folders)), 60)
    with machine(web, "pose,detail,harmonize,face"):
        alone, _ = ask(web, training["lora_code"])
    assert np.array_equal(together, alone)
    wait_until(lambda: not {"photos", "work"} & {name.split("/")[0] for name in s3_server.names()}, 60)
