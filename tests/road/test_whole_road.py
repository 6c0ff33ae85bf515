"""The whole road, nothing replaced: photos over HTTP, worker, launch.bash, trainer, post-back, five steps."""

import io
import json
from pathlib import Path

import c2pa
import numpy as np
import pytest
import requests
from PIL import ExifTags, Image

from benchmarks.cancel_and_delete import middle
from benchmarks.harness.api_client import get_bytes, get_json, post_json, post_photos, wait_for
from benchmarks.harness.catalogue import make_photos
from benchmarks.harness.photographs import saved
from benchmarks.harness.running_service import WISH
from generation.job_folder import RECORD
from generation.marking import label
from generation.miniature import demo_content
from generation.picture import canvas

TRAINING_SECONDS, GENERATION_SECONDS = 900, 600
CAMERA = "camera of one visitor alone"
CARDS = [
    {"format": "pdf"},
    *({"format": kind, "side": side} for kind in ("jpeg", "png") for side in ("front", "back")),
]


@pytest.fixture(scope="module", autouse=True)
def shorter_training():
    """Fewer steps than the profile has: what is tested is the road, not the likeness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINING_STEPS", "20")
        yield


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    """As a phone writes them, with the camera's name."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = CAMERA
    return [saved(Image.open(io.BytesIO(photo)), quality=95, exif=exif) for photo in make_photos()]


@pytest.fixture(scope="module")
def training(server_and_worker, photos):
    """A LoRA trained on the miniature: the answer of the request, and every answer while it was trained."""
    status, answer = post_photos(f"{server_and_worker.url}/api/lora-training/", photos)
    assert status == 202
    return answer, wait_for(answer["status_url"], TRAINING_SECONDS)


@pytest.fixture(scope="module")
def generation(server_and_worker, training):
    request = WISH | {
        "other_details": "a red coat",
        "selected_lora": training[0]["lora_code"],
        "seed": 4,
    }
    status, answer = post_json(f"{server_and_worker.url}/api/generate-image/", request)
    assert status == 202 and answer["lora_used"] is True
    return answer, wait_for(answer["status_url"], GENERATION_SECONDS)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_training_succeeds_and_shows_progress(training):
    answers = training[1]
    assert answers[-1]["status"] == "succeeded", answers[-1]
    running = [answer["progress"] for answer in answers if answer["status"] == "running"]
    assert running == sorted(running) and len(set(running)) > 3
    assert answers[-1]["progress"] == 1 and answers[-1]["eta_seconds"] == 0
    assert answers[-1]["steps"] == ["train"] and answers[-1]["timings"]


def test_generation_succeeds_with_five_processes(generation):
    last = generation[1][-1]
    assert last["status"] == "succeeded", last
    assert [timing["step"] for timing in last["timings"]] == ["pose", "detail", "detail", "harmonize", "face"]
    assert len({timing["pid"] for timing in last["timings"]}) == 5
    for timing in last["timings"]:
        assert "import_seconds" in timing and min(timing["load_seconds"], timing["inference_seconds"]) > 0
        assert timing["peak_rss_mb"] > 0


def test_the_picture_is_the_place_with_somebody_in_it(generation):
    answer, answers = generation
    content = get_bytes(answer["output_url"])
    assert content == get_bytes(answer["output_url"] + ".png")
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG" and json.loads(picture.text[RECORD])["seed"] == 4
    [place] = [place for place in demo_content.places() if place.name == "Piazza del Duomo"]
    [image] = [image for image in place.images if image.name == "square in the sun"]
    assert picture.size == image.picture.size == (512, 512)
    shot = demo_content.make_shot("waving", "MES")
    on_canvas = canvas.fit_mask(shot.subject_mask, (256, 256))
    mask = np.asarray(on_canvas.resize(picture.size, Image.Resampling.NEAREST)) > 0
    moved = np.abs(np.asarray(picture.convert("RGB")).astype(int) - np.asarray(image.picture))
    face = canvas.fit_mask(shot.face_mask, picture.size)
    left, top, right, bottom = label.place(picture.size, face, label.CORNERS[0])
    assert moved[top:bottom, left:right].max() > 50
    moved[top:bottom, left:right] = 0  # the label covers the place
    assert moved[~mask].max() <= 4  # the harmonize step's limit
    assert moved[mask].mean() > 15


def marks_of(content: bytes) -> bytes:
    """All that a picture's metadata say, in plain letters: chunks, EXIF, XMP and Content Credentials."""
    with Image.open(io.BytesIO(content)) as picture:
        said, kind = [picture.info, dict(picture.getexif())], Image.MIME[picture.format]
    with c2pa.Reader(kind, io.BytesIO(content)) as reader:
        return repr([*said, json.loads(reader.json())]).encode()


def test_no_file_made_of_the_picture_tells_of_the_photos_and_each_is_known_as_ours(
    server_and_worker, photos, training, generation
):
    made = [get_bytes(generation[0]["output_url"])]
    card = f"{server_and_worker.url}/api/jobs/{generation[0]['code']}/postcard/"
    made += [requests.post(card, json=asked, timeout=90).content for asked in CARDS]
    secrets = [CAMERA.encode(), b"a red coat", training[0]["lora_code"].encode(), *map(middle, photos)]
    assert all(CAMERA.encode() in photo for photo in photos) and len(made) == 1 + len(CARDS)
    for content in made:
        if not content.startswith(b"%PDF"):
            told = requests.post(
                f"{server_and_worker.url}/api/verify/", files={"image": content}, timeout=90
            ).json()
            assert told["result"] == "ours", told
            content += marks_of(content)
        assert not [secret for secret in secrets if secret in content]


def test_no_working_file_is_left_behind(generation, server_and_worker):
    assert server_and_worker.working_files() == []
    stored = {path.parent.name for path in (server_and_worker.folder / "data").rglob("*") if path.is_file()}
    assert {"loras", "outputs"} <= stored


def test_web_and_worker_hold_no_torch(generation, server_and_worker):
    web, worker = (server_and_worker.processes[name].pid for name in ("web", "worker"))
    for pid in (web, *children_of(web), worker):
        assert "torch" not in Path(f"/proc/{pid}/maps").read_text()


def test_the_worker_keeps_one_template_between_jobs(generation, server_and_worker):
    [template] = children_of(server_and_worker.processes["worker"].pid)
    assert "generation.processes.fork_server" in Path(f"/proc/{template}/cmdline").read_text()
    assert children_of(template) == []


def test_later_jobs_have_an_estimate(generation, server_and_worker):
    assert get_json(generation[0]["status_url"])["eta_seconds"] == 0
    request = {
        "poi_name": "Cala Serena",
        "poi_image": "beach at noon",
        "action_name": "standing",
        "action_shot_type": "FUS",
        "age": "old",
        "gender": "woman",
    }
    _, answer = post_json(f"{server_and_worker.url}/api/generate-image/", request)
    assert answer["lora_used"] is False
    assert get_json(answer["status_url"])["eta_seconds"] > 0
    assert wait_for(answer["status_url"], GENERATION_SECONDS)[-1]["status"] == "succeeded"
