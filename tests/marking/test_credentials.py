"""Content Credentials: signed, checked, told apart; and nothing of a visitor in them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from benchmarks.harness import ROOT
from diffuser_api.marking import finish, keys, signing
from generation import job_folder
from generation.marking import credentials, own_authority
from generation.marking.source_type import SOURCE_TYPE, XMP
from generation.request import GenerationRequest

STEP = {"step": "pose", "index": 1, "seed": 7, "models": ["a/model@1"], "versions": {"torch": "2"}}
RECORD = {"seed": 5, "steps": [STEP]}


@pytest.fixture
def picture() -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)).resize((256, 192))


@pytest.fixture
def folder(tmp_path, picture):
    """Of a job whose last step has ended."""
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "background.jpg").write_bytes(b"the place")
    Image.new("L", (256, 256)).save(folder / "f.png")
    job_folder.write_picture(picture, folder / "4-harmonize.png", RECORD)
    return folder


@pytest.fixture
def request_of_job():
    files = {
        "background": "background.jpg",
        "skeleton": "s.png",
        "subject_mask": "m.png",
        "face_mask": "f.png",
    }
    words = {
        "action_description": "waving",
        "other_details": "a secret coat",
        "place_description": "a square",
    }
    asked = {"code": "12345678", "profile": "miniature", "seed": 5, "age": "adult", "gender": "woman"}
    return GenerationRequest(**asked, **files, **words, lora="lora.safetensors", lora_code="87654321")


@pytest.fixture
def finished(folder, request_of_job):
    return finish.finish(folder, folder / "4-harmonize.png", request_of_job)


def read(path, kind="image/png") -> credentials.Found:
    return credentials.read(path.read_bytes(), kind, keys.own_chains())


def identity_in(folder) -> credentials.Identity:
    return credentials.Identity((folder / "certificate.pem").read_bytes(), (folder / "key.pem").read_bytes())


def manifests(path, kind="image/png") -> dict:
    import c2pa

    with path.open("rb") as file, c2pa.Reader(kind, file) as reader:
        return json.loads(reader.json())


def test_a_finished_picture_is_signed_and_says_how_it_was_made(finished):
    found = read(finished)
    assert (found.state, found.ours, found.made_by) == ("valid", True, "Cartolina 1.0.0")
    assert abs(datetime.fromisoformat(found.made_at) - datetime.now(UTC)).days == 0
    told = manifests(finished)
    active = told["manifests"][told["active_manifest"]]
    created, placed, edited = active["assertions"][0]["data"]["actions"]
    assert created["action"] == "c2pa.created" and created["digitalSourceType"] == SOURCE_TYPE
    assert placed["action"] == "c2pa.placed"
    assert edited["softwareAgent"]["name"] == "a/model@1" and "pose" in edited["description"]
    [place] = active["ingredients"]
    assert place["instance_id"] == f"sha256:{hashlib.sha256(b'the place').hexdigest()}"
    assert "thumbnail" not in place and "thumbnail" not in active


def test_marks_keep_the_steps_picture_and_its_text(finished, folder, picture):
    assert job_folder.read_record(finished) == RECORD
    with Image.open(finished) as marked:
        assert SOURCE_TYPE in marked.info["xmp"].decode()
    assert np.array_equal(np.asarray(job_folder.read_step_picture(folder, 4)), np.asarray(picture))


def test_one_flipped_bit_is_found_wherever_it_is(finished):
    """Pixels, text and XMP; in the credentials' own chunk there is room that no signature covers."""
    content = finished.read_bytes()
    start = content.index(b"caBX") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4])
    for position in (*range(40, start, 50), *range(end, len(content), len(content) // 30)):
        changed = bytearray(content)
        changed[position] ^= 1
        found = credentials.read(bytes(changed), "image/png", keys.own_chains())
        assert found.state != "valid", position


def test_stripped_metadata_is_reported_as_absent(finished):
    plain = io.BytesIO()
    with Image.open(finished) as marked:
        marked.convert("RGB").save(plain, "PNG")
    found = credentials.read(plain.getvalue(), "image/png", keys.own_chains())
    assert found == credentials.Found("absent")


def test_a_picture_signed_by_another_authority_is_told_apart(finished, tmp_path):
    folder = own_authority.ensure(tmp_path / "other", keys.NAME)  # of the very same name
    manifest = credentials.made_manifest(RECORD, "00", datetime.now(UTC))
    credentials.sign(finished, tmp_path / "theirs.png", manifest, identity_in(folder))
    found = read(tmp_path / "theirs.png")
    assert found.state == "valid" and not found.ours


def customers_of_one_authority() -> list[credentials.Identity]:
    """Two, as of an authority that sells certificates."""
    authority_key, *keys_of_customers = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority = own_authority._certificate("seller", authority_key.public_key(), authority_key, None)
    found = []
    for key in keys_of_customers:
        leaf = own_authority._certificate("customer", key.public_key(), authority_key, authority)
        chain = b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, authority))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        found.append(credentials.Identity(chain, private))
    return found


def test_another_customer_of_our_authority_is_told_apart(finished, tmp_path):
    us, them = customers_of_one_authority()
    manifest = credentials.made_manifest(RECORD, "00", datetime.now(UTC))
    for who, is_ours in ((us, True), (them, False)):
        credentials.sign(finished, tmp_path / "signed.png", manifest, who)
        found = credentials.read((tmp_path / "signed.png").read_bytes(), "image/png", [us.chain])
        assert (found.state, found.ours) == ("valid", is_ours)


@pytest.mark.parametrize(
    "ending, kind", [("jpg", "image/jpeg"), ("webp", "image/webp"), ("png", "image/png")]
)
def test_a_file_made_of_a_picture_is_signed_with_the_picture_as_parent(finished, tmp_path, ending, kind):
    path = tmp_path / f"small.{ending}"
    with Image.open(finished) as marked:
        small = marked.convert("RGB").resize((128, 96))
    small.save(path, xmp=XMP.encode()) if ending != "png" else small.save(path)
    with Image.open(path) as unsigned:
        before = np.asarray(unsigned.convert("RGB"))
    size = path.stat().st_size
    signing.sign_derived(path, finished, ["c2pa.resized"])
    told = manifests(path, kind)
    active = told["manifests"][told["active_manifest"]]
    assert read(path, kind).ours and len(told["manifests"]) == 2
    assert [one["relationship"] for one in active["ingredients"]] == ["parentOf"]
    assert active["ingredients"][0]["active_manifest"] in told["manifests"]
    assert path.stat().st_size - size < 2 * 10_000  # the parent's credentials come along
    with Image.open(path) as signed:
        assert np.array_equal(np.asarray(signed.convert("RGB")), before)


def test_credentials_take_little_space(finished, folder, request_of_job):
    steps = [
        {**STEP, "index": index, "models": ["stable-diffusion-v1-5/stable-diffusion-v1-5@" + 40 * "a"] * 2}
        for index in range(1, 6)
    ]
    plain = folder / "5-face.png"
    with Image.open(folder / "4-harmonize.png") as image:
        job_folder.write_picture(image.convert("RGB"), plain, {"seed": 1, "steps": steps})
    signed = finish.finish(folder, plain, request_of_job)
    assert signed.stat().st_size - plain.stat().st_size < 10_000


def test_nothing_of_the_visitor_is_in_a_marked_file(finished):
    content = finished.read_bytes() + json.dumps(manifests(finished)).encode()
    for secret in (b"12345678", b"87654321", b"secret coat", b"lora", b"Exif", str(ROOT).encode()):
        assert secret not in content


def test_processes_that_start_together_agree_on_one_certificate(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(own_authority.ensure(tmp_path / "own", "x")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and {path.name for path in tmp_path.glob("own*")} == {"own"}
    assert (tmp_path / "own" / "key.pem").stat().st_mode & 0o077 == 0
    identity = credentials.Identity(
        *((found[0] / name).read_bytes() for name in ("certificate.pem", "key.pem"))
    )
    assert identity.algorithm == "es256"


def test_an_attempt_that_was_killed_while_signing_is_done_anew(folder, request_of_job):
    (folder / "marking-finished.png").write_bytes(b"half a file")
    (folder / "marking-finished.png.signing").write_bytes(b"half a file")
    assert job_folder.newest_index(folder) == 4
    assert read(finish.finish(folder, folder / "4-harmonize.png", request_of_job)).ours


def test_a_time_stamping_service_that_is_down_costs_no_picture(folder, request_of_job, settings):
    settings.C2PA_TIMESTAMP_URL = "http://127.0.0.1:9/"  # nobody listens
    assert read(finish.finish(folder, folder / "4-harmonize.png", request_of_job)).ours


def checked(tmp_path, **changes) -> subprocess.CompletedProcess:
    environment = os.environ | {"DATA_DIR": str(tmp_path / "data"), **changes}
    command = [sys.executable, "manage.py", "check", "--deploy"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_a_first_start_makes_the_certificate_and_says_how_to_get_a_better_one(tmp_path):
    done = checked(tmp_path)
    assert done.returncode == 0 and "conformance programme" in done.stderr
    assert (tmp_path / "data" / "credentials" / "key.pem").exists()


def test_a_key_of_another_certificate_stops_the_start(tmp_path):
    one, two = (own_authority.ensure(tmp_path / name, "x") for name in ("one", "two"))
    chain, key = str(one / "certificate.pem"), str(two / "key.pem")
    done = checked(tmp_path, C2PA_CERTIFICATE=chain, C2PA_KEY=key)
    assert done.returncode == 1 and "not that of the key" in done.stderr
    alone = checked(tmp_path, C2PA_CERTIFICATE=chain)
    assert alone.returncode == 1 and "or neither" in alone.stderr
    good = checked(tmp_path, C2PA_CERTIFICATE=chain, C2PA_KEY=str(one / "key.pem"))
    assert good.returncode == 0 and "conformance programme" not in good.stderr
