"""The worst inputs: each gets a 400 that says what to do, costs little, and leaves no row and no file."""

import io
import json
import time

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.catalogue import make_photos
from benchmarks.harness.hostile_files import bomb
from diffuser_api.models import Job

GENERATE, TRAIN = "/api/generate-image/", "/api/lora-training/"
SECONDS = 2  # of this process's computing; photos are opened in a process of their own, which has a limit


def assert_refused(answer, began, folder, words=()):
    assert time.process_time() - began < SECONDS
    assert answer.status_code == 400, answer.content[:300]
    text = answer.content.decode()
    assert len(text) > 20 and all(word in text for word in words), text
    answer.json()
    assert not Job.objects.exists()
    assert not [path for path in folder.glob("photos/*")]


FIELDS = ["poi_name", "poi_image", "action_name", "action_shot_type", "age", "gender"]
WRONG = [
    None,
    [],
    {"a": 1},
    "",
    "x" * 100_000,
    "../../../etc/passwd",
    "a\0b",
    "\ud800",
    "💃🏽" * 200,
    10**400,
]


@pytest.fixture(autouse=True)
def warm(catalogue, client):
    """Modules that are imported by the first request don't count for the second."""
    client.post(TRAIN, {})


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_refused_by_name(field, client, own_data_folder):
    body = a_request()
    del body[field]
    began = time.process_time()
    assert_refused(client.post(GENERATE, body, "application/json"), began, own_data_folder, [field])


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("field", ["poi_name", "action_shot_type", "age", "seed", "dynamic_action_selection"])
def test_a_wrong_value_is_refused(field, wrong, client, own_data_folder):
    if field == "seed" and wrong is None:
        wrong = "none"  # null itself means: draw one
    began = time.process_time()
    body = json.dumps(a_request(**{field: wrong}))
    assert_refused(client.post(GENERATE, body, "application/json"), began, own_data_folder)


@pytest.mark.parametrize(
    "wrong", ["x" * 5000, "a\0b", "\ud800", ["list"], {"a": 1}], ids=lambda value: repr(value)[:20]
)
@pytest.mark.parametrize("field", ["other_details", "action_prompt", "selected_lora"])
def test_a_wrong_text_is_refused_by_its_field(field, wrong, client, own_data_folder):
    began = time.process_time()
    answer = client.post(GENERATE, a_request(**{field: wrong}), "application/json")
    assert_refused(answer, began, own_data_folder, [field])


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "one", True, "1e3", "٣" * 3000])
def test_a_seed_out_of_range_is_refused(seed, client, own_data_folder):
    began = time.process_time()
    assert_refused(
        client.post(GENERATE, a_request(seed=seed), "application/json"), began, own_data_folder, ["seed"]
    )


# Python's int takes all of these.
ODD_NUMBERS = ["1_0", " 1", "1 ", "1\n", "+1", "1.0", "\u0661", "\uff11", "\u00a01"]


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.parametrize("field", ["seed", "candidates"])
def test_a_number_has_the_digits_0_to_9_alone(field, kind, number, client, own_data_folder):
    began, how = time.process_time(), {"content_type": "application/json"} if kind == "json" else {}
    answer = client.post(GENERATE, a_request(**{field: number}), **how)
    assert_refused(answer, began, own_data_folder)
    assert answer.json() == {field: ["A valid integer is required."]}


def test_a_number_as_a_text_and_in_a_form_is_taken(client, catalogue):
    for answer in (
        client.post(GENERATE, a_request(seed="007", candidates=1.0), "application/json"),
        client.post(GENERATE, a_request(seed="4294967295", candidates="2")),
    ):
        assert answer.status_code == 202
    assert set(Job.objects.values_list("seed", flat=True)) >= {7, 4294967295}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"age": NaN}',
        b"9" * 5000,
        b" " * 2_000_000,
    ],
    ids=["empty", "open", "list", "text", "null", "not utf-8", "deep", "nan", "number", "huge"],
)
def test_a_malformed_body_is_refused(body, client, own_data_folder):
    began = time.process_time()
    assert_refused(client.post(GENERATE, body, "application/json"), began, own_data_folder)


@pytest.mark.parametrize(
    "body", [b"", b"--x", b'--x\r\nContent-Disposition: form-data; name="images"\r\n\r\n', b"\x00" * 500]
)
def test_a_malformed_multipart_body_is_refused(body, client, own_data_folder):
    for url in (GENERATE, TRAIN):
        began = time.process_time()
        assert_refused(client.post(url, body, "multipart/form-data; boundary=x"), began, own_data_folder)
        began = time.process_time()
        assert_refused(client.post(url, body, "multipart/form-data"), began, own_data_folder)


def test_more_than_five_photos_can_weigh_is_refused_unread(client, own_data_folder, settings):
    settings.MAX_UPLOAD_MB = 1
    began = time.process_time()
    answer = client.post(TRAIN, {"images": SimpleUploadedFile("big.png", bytes(7 * 2**20))})
    assert_refused(answer, began, own_data_folder, ["8 MB large; at most 6 MB"])


def test_too_many_fields_are_refused(client, own_data_folder):
    began = time.process_time()
    assert_refused(client.post(GENERATE, {f"f{k}": "x" for k in range(500)}), began, own_data_folder)


def encoded(picture, kind, **options) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def noise(width, height) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


FRAMES = [noise(300, 300), noise(300, 300).rotate(90)]
BAD_FILES = {
    "zero bytes": (b"", "empty"),
    "text": (b"I am a photo, believe me" * 50, "not_a_picture"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="500" height="500"/>', "not_a_picture"),
    "html": (b"<html><script>alert(1)</script></html>", "not_a_picture"),
    "zip": (b"PK\x03\x04" + b"\0" * 500, "not_a_picture"),
    "gif": (encoded(noise(300, 300), "GIF"), "not_a_picture"),
    "bmp": (encoded(noise(300, 300), "BMP"), "not_a_picture"),
    "tiff": (encoded(noise(300, 300), "TIFF"), "not_a_picture"),
    "pdf": (encoded(noise(300, 300), "PDF"), "not_a_picture"),
    "truncated jpeg": (encoded(noise(600, 600), "JPEG")[:9000], "broken"),
    "truncated png": (encoded(noise(600, 600), "PNG")[:9000], "broken"),
    "truncated webp": (encoded(noise(600, 600), "WEBP")[:9000], None),
    "jpeg header only": (encoded(noise(600, 600), "JPEG")[:200], None),
    "flipped bytes": (encoded(noise(600, 600), "PNG").replace(b"IDAT", b"IDAX"), None),
    "animated png": (encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "animated"),
    "animated webp": (encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), "animated"),
    "50,000 x 50,000": (bomb(50_000), "too_many_pixels"),
    "8,000 x 8,000": (bomb(8_000), "too_many_pixels"),
    "one pixel": (encoded(noise(1, 1), "PNG"), "too_small"),
    "a line": (encoded(noise(5000, 2), "PNG"), "too_small"),
    "too large": (b"\xff\xd8\xff" + b"\0" * (15 * 2**20 + 1), "too_large"),
}


@pytest.mark.slow  # a process for each photo
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_photo_is_refused_with_its_code(name, client, own_data_folder):
    content, code = BAD_FILES[name]
    photos = make_photos()
    files = [SimpleUploadedFile("holiday.jpg", photo) for photo in (*photos[:4], content)]
    began = time.process_time()
    answer = client.post(TRAIN, {"images": files})
    assert_refused(answer, began, own_data_folder)
    [reason] = answer.json()["images"]
    assert reason["index"] == 5 and (code is None or reason["code"] == code)


@pytest.mark.slow  # a process for each photo
@pytest.mark.parametrize("name", ["../../x.png", "a\0b.png", "x" * 5000 + ".png", "💃.png", "con.png", ""])
def test_a_file_name_is_never_a_path(name, client, own_data_folder, photos):
    boundary = "BOUNDARY"
    parts = b""
    for photo in (*photos[:4], photos[0]):
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="{name}"\r\n\r\n'
        parts += head.encode() + photo + b"\r\n"
    body = parts + f"--{boundary}--\r\n".encode()
    began = time.process_time()
    answer = client.post(TRAIN, body, f"multipart/form-data; boundary={boundary}")
    assert_refused(answer, began, own_data_folder)


def test_the_same_photo_five_times_is_refused(client, own_data_folder, photos):
    files = [SimpleUploadedFile("a.png", photos[0]) for _ in range(5)]
    began = time.process_time()
    answer = client.post(TRAIN, {"images": files})
    assert_refused(answer, began, own_data_folder, ["duplicate"])


def test_texts_instead_of_files_are_refused(client, own_data_folder):
    began = time.process_time()
    assert_refused(client.post(TRAIN, {"images": ["a", "b", "c", "d", "e"]}), began, own_data_folder)


def test_json_instead_of_files_is_an_unsupported_media_type(client, transactional_db):
    answer = client.post(TRAIN, {"images": []}, "application/json")
    assert answer.status_code == 415 and "multipart" not in answer.json()["detail"].lower()
