"""The page and the call that say which marks a picture carries."""

from __future__ import annotations

import base64
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import c2pa
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from PIL import Image

from benchmarks.harness.catalogue import make_catalogue
from diffuser_api.jobs import status_changes
from diffuser_api.marking import keys, signing
from diffuser_api.models import Poi
from diffuser_api.photos import verify
from generation.marking import credentials, own_authority
from generation.marking.source_type import SOURCE_TYPE, XMP
from tests.studio.test_studio_visitors import ask as ask_for_picture
from tests.studio.test_studio_visitors import come

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed(tmp_path) -> Path:
    path = tmp_path / "signed.png"
    Image.effect_noise((96, 96), 60).convert("RGB").save(path)
    signing.sign_finished(path, {"seed": 1, "steps": []}, "00", datetime(2026, 5, 4, tzinfo=UTC))
    return path


def ask(content: bytes, **headers) -> dict:
    answer = Browser(headers=headers).post("/api/verify/", {"image": SimpleUploadedFile("x", content)})
    assert answer.status_code == 200, answer.content
    return answer.json()


def written(picture: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def test_a_picture_of_ours_is_known_and_says_when_it_was_made(signed, settings):
    settings.OPEN_API = settings.STUDIO = False  # everybody may ask
    told = ask(signed.read_bytes())
    assert told["result"] == "ours" and told["made_at"].startswith("2026-05-04")
    assert told["made_by"] == "Cartolina 1.0.0"


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_files_made_of_it_are_known_too(signed, tmp_path, ending):
    path = tmp_path / f"derived.{ending}"
    Image.open(signed).resize((48, 48)).save(path)
    signing.sign_derived(path, signed, ["c2pa.resized"])
    assert ask(path.read_bytes())["result"] == "ours"


def test_a_changed_picture_is_told_and_nothing_that_it_says_is_repeated(signed):
    content = bytearray(signed.read_bytes())
    content[-40] ^= 1
    told = ask(bytes(content))
    assert told["result"] == "changed" and not told["signer"] and not told["made_at"]


def test_another_signer_is_told(signed, tmp_path):
    folder = own_authority.ensure(tmp_path / "theirs", keys.NAME)
    chain, key = (folder / own_authority.CHAIN).read_bytes(), (folder / own_authority.KEY).read_bytes()
    manifest = credentials.made_manifest({"steps": []}, "00", datetime.now(UTC))
    credentials.sign(signed, signed, manifest, credentials.Identity(chain, key))
    assert ask(signed.read_bytes())["result"] == "other"


@pytest.mark.parametrize(
    "data",
    [
        [1, 2],
        "a text",
        5,
        {"actions": None},
        {"actions": {"action": "c2pa.created"}},
        {"actions": ["c2pa.created"]},
        {"actions": [{"when": "2026-05-04T10:00:00Z"}]},
        {"actions": [{"action": "c2pa.created", "when": {"year": 2026}}]},
    ],
)
def test_assertions_of_another_signer_may_have_any_form(signed, tmp_path, data):
    folder = own_authority.ensure(tmp_path / "theirs", keys.NAME)
    chain, key = (folder / own_authority.CHAIN).read_bytes(), (folder / own_authority.KEY).read_bytes()
    manifest = credentials.made_manifest({"steps": []}, "00", datetime.now(UTC))
    del manifest["assertions"][0]["data"]["actions"][0]["when"]  # so that all assertions are asked for it
    manifest["assertions"].append({"label": "org.example.own", "data": data})
    credentials.sign(signed, signed, manifest, credentials.Identity(chain, key))
    told = ask(signed.read_bytes())
    assert (told["result"], told["made_at"], told["made_by"]) == ("other", "", "Cartolina 1.0.0")


def test_a_picture_without_marks_is_told_honestly(signed):
    bare = Image.open(signed).convert("RGB")
    assert ask(written(bare, "PNG"))["result"] == "nothing"  # a screenshot
    assert ask(written(bare, "JPEG", xmp=XMP.encode()))["result"] == "marked"
    assert "non prova niente" in ask(written(bare, "WEBP"), **{"Accept-Language": "it"})["message"]


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"GIF89a" + bytes(100), b"\x89PNG\r\n\x1a\n" + bytes(50)]
)
def test_what_is_no_picture_is_refused_with_a_sentence(content):
    answer = Browser().post("/api/verify/", {"image": SimpleUploadedFile("x", content)})
    assert answer.status_code == 400 and answer.json()


def test_nothing_of_the_upload_is_kept(signed, settings):
    ask(signed.read_bytes())
    assert not list(settings.TMP_DATA_DIR.iterdir())
    assert not [path for path in settings.DATA_DIR.rglob("*.png")]


def test_the_page_says_the_same_to_everybody(signed, settings):
    settings.OPEN_API = settings.STUDIO = False
    browser = Browser()
    assert browser.get("/verify/").status_code == 200
    answer = browser.post("/verify/", {"image": SimpleUploadedFile("x", signed.read_bytes())})
    assert "made by this service" in answer.content.decode() and "May 4, 2026" in answer.content.decode()
    assert "Choose a picture" in browser.post("/verify/").content.decode()
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_sender_of_very_many_pictures_waits(signed, settings):
    settings.PHOTO_RATE = (1, 60)
    ask(signed.read_bytes())
    answers = [
        Browser().post("/api/verify/", {"image": SimpleUploadedFile("x", signed.read_bytes())}).status_code
        for _ in range(3)
    ]
    assert 429 in answers


def test_every_file_made_of_a_picture_is_signed_with_the_picture_as_its_parent(signed, settings, tmp_path):
    """The gallery's, a messenger's, and a postcard's, to print and while it is typed."""
    settings.STUDIO = True
    make_catalogue()
    anna, _, _ = come()
    job = status_changes.claim(ask_for_picture(anna, Poi.objects.get()).code)
    assert status_changes.finish_generation(job, signed)
    anna.post(f"/jobs/{job.code}/share/", {"days": "1"})
    page = anna.get(f"/jobs/{job.code}/").content.decode()
    [shared] = re.findall(r'value="http://testserver(/p/[^"]+)"', page)
    card = f"/jobs/{job.code}/postcard/"
    files = [b"".join(anna.get(url)) for url in (f"/jobs/{job.code}/small.jpg", f"{shared}small.jpg")]
    files += [anna.post(card, {"file": kind}).content for kind in ("front", "back-png")]
    typed = re.findall(
        r"data:image/jpeg;base64,([^\"]+)", anna.post(card, {"greeting": "Ciao"}).content.decode()
    )
    files += [base64.b64decode(one) for one in typed]
    assert len(files) == 6
    for content in files:
        kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
        assert credentials.read(content, kind, keys.own_chains()).ours
        with Image.open(io.BytesIO(content)) as picture:  # the credentials name the source type, too
            assert SOURCE_TYPE.encode() in picture.info["xmp"]
        with c2pa.Reader(kind, io.BytesIO(content)) as reader:
            told = json.loads(reader.json())
        [parent] = told["manifests"][told["active_manifest"]]["ingredients"]
        assert parent["relationship"] == "parentOf" and len(told["manifests"]) == 2


def test_a_sender_of_files_that_are_no_pictures_waits_too(settings):
    settings.PHOTO_RATE = (1, 60)
    answers = [
        Browser().post("/api/verify/", {"image": SimpleUploadedFile("x", b"no picture")}) for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 429]


def test_a_file_that_takes_too_long_costs_its_sender_as_much_as_a_photo_may(signed, settings, monkeypatch):
    settings.PHOTO_RATE = (verify.SECONDS_EACH, 60)
    monkeypatch.setattr(verify, "SECONDS", 0.01)
    answers = [
        Browser().post("/api/verify/", {"image": SimpleUploadedFile("x", signed.read_bytes())})
        for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
