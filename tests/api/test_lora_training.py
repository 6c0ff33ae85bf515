"""POST /api/lora-training/: five photos in, a code out, or a reason for each photo."""

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from benchmarks.harness.api_requests import send
from diffuser_api.models import Job, TrainingPhoto

URL = "/api/lora-training/"
pillow_heif.register_heif_opener()


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def reopened(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo)).convert("RGB")


def test_five_photos_give_a_code(client, transactional_db, photos):
    answer = send(client, photos)
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"lora_code", "status", "status_url"}
    job = Job.objects.get(code=body["lora_code"])
    assert job.kind == "training" and job.photos.count() == 5
    assert client.get(body["status_url"]).json()["status"] == "queued"


def test_photos_are_kept_upright_without_metadata(client, transactional_db, photos):
    sideways = reopened(photos[0]).rotate(90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    exif[0x8825] = {1: "N", 2: (43.0, 46.0, 0.0)}  # where it was taken
    exif[0x010F] = "Camera Maker"
    answer = send(client, [encoded(sideways, "JPEG", quality=97, exif=exif), *photos[1:]])
    assert answer.status_code == 202, answer.json()
    with TrainingPhoto.objects.get(index=1).file.open("rb") as file:
        content = file.read()
    kept = Image.open(io.BytesIO(content))
    assert not kept.getexif() and b"Camera Maker" not in content and b"Exif" not in content
    difference = np.abs(np.asarray(kept, int) - np.asarray(reopened(photos[0]), int))
    assert difference.mean() < 4


@pytest.mark.slow  # a process for each photo
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_formats_that_phones_send(kind, client, transactional_db, photos):
    answer = send(client, [encoded(reopened(photos[0]), kind), *photos[1:]], names=["IMG_0001"] * 5)
    assert answer.status_code == 202, answer.json()


@pytest.mark.slow  # a process for each photo
@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "LA"])
def test_colour_modes_become_plain_rgb(mode, client, transactional_db, photos):
    picture = reopened(photos[0])
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    answer = send(client, [encoded(picture, "JPEG" if mode == "CMYK" else "PNG"), *photos[1:]])
    assert answer.status_code == 202, answer.json()
    with TrainingPhoto.objects.get(index=1).file.open("rb") as file:
        kept = Image.open(file)
        kept.load()
    assert kept.mode == "RGB"
    grey = np.asarray(kept.convert("L"), float) - np.asarray(reopened(photos[0]).convert("L"), float)
    assert np.abs(grey).mean() < 12


@pytest.mark.parametrize("count", [0, 1, 4, 6, 12])
def test_any_number_of_photos_but_five_is_refused(count, client, transactional_db, photos):
    answer = send(client, (photos * 3)[:count])
    assert answer.status_code == 400
    reason = answer.json()["images"][0]
    assert reason["code"] == "wrong_count" and str(count) in reason["message"]


def test_the_same_picture_in_another_file_is_found(client, transactional_db, photos):
    copy = encoded(reopened(photos[1]).resize((400, 400)), "JPEG", quality=80)
    answer = send(client, [*photos[:4], copy])
    assert answer.status_code == 400
    [reason] = answer.json()["images"]
    assert reason["index"] == 5 and reason["code"] == "duplicate" and "photo 2" in reason["message"]


def test_every_bad_photo_gets_its_reason(client, transactional_db, photos):
    small = encoded(reopened(photos[0]).resize((200, 300)), "PNG")
    answer = send(client, [photos[0], small, photos[2][:2000], b"hello", b""])
    found = {(reason["index"], reason["code"]) for reason in answer.json()["images"]}
    assert answer.status_code == 400
    # An empty file has no bytes to call a photo; Django leaves it out or passes it on, both are refused.
    assert {(2, "too_small"), (3, "broken"), (4, "not_a_picture"), (5, "empty")} <= found


def test_photos_go_when_the_job_ends(client, transactional_db, photos, own_data_folder):
    from diffuser_api.jobs import status_changes

    code = send(client, photos).json()["lora_code"]
    assert len(list(own_data_folder.glob("photos/*"))) == 5
    assert status_changes.fail(status_changes.claim(code), "training_failed", "no luck")
    assert not list(own_data_folder.glob("photos/*"))
