"""The photo gate: for each code a picture that gets it and one just good enough; sentences; hostile files."""

import gettext
import io
import json
import math
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import translation
from PIL import Image, ImageCms

from benchmarks.harness import ROOT
from benchmarks.harness import photographs as real
from diffuser_api.models import Job, TrainingPhoto
from diffuser_api.photos import gate
from diffuser_api.photos.sentences import CODES, sentence
from generation.vision import compare, decode, photo_quality

pytestmark = pytest.mark.slow  # photos are judged, most in a process of their own

CHECK, TRAIN = "/api/photos/check/", "/api/lora-training/"
WORLDS = ("photographs", "drawn")


def in_language(language: str, code: str, **values: int) -> str:
    with translation.override(language):
        return sentence(code, **values)


def codes(picture: Image.Image, world: str) -> set[str]:
    return {finding.code for finding in photo_quality.judge(picture, real.DETECTORS[world])[0]}


# --- one photo: what is wrong, and what is just good enough ------------------------------------------------

CASES = {
    "no_face": (lambda p, w: real.faceless(w), lambda p, w: p),
    "several_faces": (
        lambda p, w: real.beside(p, real.stranger(w), 0.8),
        lambda p, w: real.beside(p, real.stranger(w), 0.22),
    ),
    "face_too_small": (lambda p, w: real.on_canvas(p, w, 74), lambda p, w: real.on_canvas(p, w, 118)),
    "face_cut_off": (lambda p, w: real.cut_off(p, w, 0.2), lambda p, w: real.cut_off(p, w, -0.1)),
    "too_dark": (lambda p, w: real.lit(p, 0.18), lambda p, w: real.lit(p, 0.5)),
    "too_bright": (lambda p, w: real.lit(p, 3.5), lambda p, w: real.lit(p, 1.2)),
    "blurred": (lambda p, w: real.blurred(p, w, 0.03), lambda p, w: real.blurred(p, w, 0.006)),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("code", CASES)
def test_a_bad_photo_gets_its_finding_and_one_just_good_enough_none(code, world):
    bad, good = CASES[code]
    assert code in codes(bad(real.portrait(world), world), world)
    assert codes(good(real.portrait(world), world), world) == set()


def test_sunglasses_hide_the_eyes_and_plain_glasses_do_not():
    assert codes(real.in_sunglasses(real.obama()), "photographs") == {"eyes_hidden"}
    assert codes(real.hopper(), "photographs") == set()


def test_twenty_drawn_photos_are_all_accepted():
    refused = [codes(photo, "drawn") for seed in range(20, 24) for photo in real.drawn(seed)]
    assert refused == [set()] * 20


# --- five photos against each other ------------------------------------------------------------------------


def embedding(picture: Image.Image, world: str) -> np.ndarray:
    return real.DETECTORS[world].embed_face(picture, real.DETECTORS[world].find_faces(picture)[0])


@pytest.mark.parametrize("world", WORLDS)
def test_another_person_among_the_five_is_found(world):
    if world == "drawn":
        mine = [embedding(photo, world) for photo in real.drawn(3)]
    else:
        photo = real.obama()
        changed = [photo, real.lit(photo, 0.5), photo.rotate(8), photo.resize((400, 500))]
        changed.append(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        mine = [embedding(one, world) for one in changed]
    five = dict(enumerate(mine, start=1))
    assert compare.strangers(five) == []
    assert compare.strangers(five | {4: embedding(real.stranger(world), world)}) == [4]


def test_copies_are_the_same_picture_and_other_photos_are_not():
    from generation.vision.decode import fingerprint

    photo = real.obama()
    copy = Image.open(io.BytesIO(real.saved(photo.resize((500, 625)), quality=40))).convert("RGB")
    prints = {1: fingerprint(photo)}
    assert compare.find_twin(fingerprint(copy), prints) == 1
    assert compare.find_twin(fingerprint(photo.crop((80, 0, 800, 800))), prints) is None
    assert len({fingerprint(one) for one in real.drawn(3)}) == 5


# --- over HTTP ---------------------------------------------------------------------------------------------


def check(client, content: bytes, **headers):
    return client.post(CHECK, {"image": SimpleUploadedFile("a.png", content)}, headers=headers)


def send(client, photos: list[bytes], **headers):
    files = [SimpleUploadedFile(f"{k}.png", photo) for k, photo in enumerate(photos)]
    return client.post(TRAIN, {"images": files}, headers=headers)


def test_a_good_photo_is_accepted_and_nothing_is_kept(client, transactional_db, photos, own_data_folder):
    assert check(client, photos[0]).json() == {"accepted": True, "findings": []}
    assert not Job.objects.exists() and not list(own_data_folder.rglob("*.jpg"))


def test_a_photo_of_a_place_is_refused_in_two_languages(client):
    content = real.saved(real.faceless("drawn"), "PNG")
    english = check(client, content).json()
    italian = check(client, content, accept_language="it-IT,it;q=0.9,en;q=0.5").json()
    assert english == {
        "accepted": False,
        "findings": [{"code": "no_face", "message": in_language("en", "no_face")}],
    }
    assert italian["findings"] == [{"code": "no_face", "message": in_language("it", "no_face")}]
    assert check(client, content, accept_language="xx;;q=1").json() == english


def test_no_file_is_a_bad_request(client):
    assert client.post(CHECK, {}).status_code == 400
    assert client.post(CHECK, {"image": "text"}).status_code == 400


def test_the_check_refuses_a_file_that_is_no_picture(client, settings):
    settings.PHOTO_CHECKS = "off"
    answer = check(client, b"hello").json()
    assert not answer["accepted"] and [one["code"] for one in answer["findings"]] == ["not_a_picture"]
    assert [one["code"] for one in check(client, b"").json()["findings"]] == ["empty"]


def test_findings_refuse_photos_when_strict_and_are_only_shown_when_warning(
    client, transactional_db, settings, photos
):
    wrong = [*photos[:3], real.saved(real.drawn(8)[1], "PNG"), real.saved(real.faceless("drawn"), "PNG")]
    expected = [(4, "another_person"), (5, "no_face")]
    refused = send(client, wrong)
    assert refused.status_code == 400 and not Job.objects.exists()
    assert [(one["index"], one["code"]) for one in refused.json()["images"]] == expected
    settings.PHOTO_CHECKS = "warn"
    warned = send(client, wrong, accept_language="it")
    assert warned.status_code == 202 and TrainingPhoto.objects.count() == 5
    assert [(one["index"], one["code"]) for one in warned.json()["warnings"]] == expected
    assert warned.json()["warnings"][1]["message"] == in_language("it", "no_face")
    settings.PHOTO_CHECKS = "off"
    unseen = send(client, wrong)
    assert unseen.status_code == 202 and "warnings" not in unseen.json()


def test_every_code_has_a_sentence_that_says_what_to_do_in_each_language(settings):
    values = {name: 7 for name in ("count", "limit", "width", "height", "twin")}
    for code in CODES:
        said = {in_language(language, code, **values) for language, _ in settings.LANGUAGES}
        assert len(said) == len(settings.LANGUAGES), code
        assert all(len(one) > 30 and one.endswith(".") for one in said), code


def test_the_compiled_sentences_are_those_of_the_po_files(tmp_path):
    if not shutil.which("msgfmt"):
        pytest.skip("needs gettext: apt-get install gettext")
    for written in (ROOT / "diffuser_api" / "locale").rglob("django.po"):
        subprocess.run(["msgfmt", "-o", tmp_path / "django.mo", written], check=True)
        compiled, fresh = (
            gettext.GNUTranslations(path.open("rb"))._catalog
            for path in (written.with_suffix(".mo"), tmp_path / "django.mo")
        )
        assert compiled == fresh and len(compiled) > len(CODES)  # of other rooms too


def test_another_language_is_no_more_than_its_file(client, settings, tmp_path):
    if not shutil.which("msgfmt"):
        pytest.skip("needs gettext: apt-get install gettext")
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    text = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    text += f'msgid "{in_language("en", "empty")}"\nmsgstr "Die Datei ist leer."\n'
    (folder / "django.po").write_text(text)
    subprocess.run(["msgfmt", "-o", folder / "django.mo", folder / "django.po"], check=True)
    settings.LANGUAGES = [*settings.LANGUAGES, ("de", "Deutsch")]
    settings.LOCALE_PATHS = [tmp_path]
    german = check(client, b"", accept_language="de-AT,de;q=0.9,it;q=0.5").json()
    assert german["findings"][0]["message"] == "Die Datei ist leer."
    other = check(client, b"hello", accept_language="de").json()
    assert other["findings"][0]["message"] == in_language("en", "not_a_picture")


# --- the process -------------------------------------------------------------------------------------------


def peak_of_gate(folder, *arguments) -> tuple[list[dict], float, int]:
    """What the gate said, the peak of its own memory in MB, and its exit status. Pages of files, such as
    libraries, don't count: processes share them, and how many are in memory depends on what ran before."""
    code = (
        "import re, subprocess, sys, time\n"
        "process, peak = subprocess.Popen(sys.argv[1:]), 0\n"
        "while process.poll() is None:\n"
        "    own = re.search(r'RssAnon:\\s+(\\d+)', open(f'/proc/{process.pid}/status').read())\n"
        "    peak = max(peak, int(own[1]) if own else 0)\n"
        "    time.sleep(0.002)\n"
        "print(peak / 1024, process.returncode)"
    )
    command = [
        sys.executable,
        "-c",
        code,
        sys.executable,
        "-m",
        "generation.vision.gate_process",
        str(folder),
    ]
    command += ["40", "look", *arguments]
    environment = {**os.environ, "MODEL_PROFILE": "sd15", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    *lines, last = done.stdout.splitlines()
    return [json.loads(line) for line in lines], float(last.split()[0]), int(last.split()[1])


def test_photos_of_twelve_megapixels_need_less_than_250_mb_in_each_of_two_processes():
    # Not in tmp_path, which may be in memory: pages of such files count as the process's own.
    with tempfile.TemporaryDirectory(prefix="cartolina-tests-") as name:
        folder = Path(name)
        for number in range(1, 4):
            photo = [real.obama(), real.hopper(), real.astronaut()][number % 3]
            scale = math.sqrt(12e6 / (photo.width * photo.height))
            size = (round(photo.width * scale), round(photo.height * scale))
            large = photo.resize(size, Image.Resampling.BILINEAR)
            (folder / str(number)).write_bytes(real.saved(large, quality=90))
        said, peak, status = peak_of_gate(folder, "1", "2", "3")
    assert status == 0 and [one["findings"] for one in said] == [[]] * 3
    assert peak < 250


def test_the_largest_picture_allowed_fits_into_the_limit(tmp_path):
    large = Image.new("RGBA", (8000, 5000), (90, 120, 150, 200))
    (tmp_path / "1").write_bytes(real.saved(large, "PNG"))
    said, peak, _ = peak_of_gate(tmp_path, "1")
    assert said[0]["findings"] == [{"code": "no_face", "values": {}}] and peak < 700


def test_a_photo_that_ends_the_process_is_refused_and_the_others_are_not(
    tmp_path, monkeypatch, client, transactional_db, photos
):
    """A stand-in for python ends itself by SIGSEGV when it comes to the second photo, as a decoder might."""
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import os, runpy, signal, sys\n"
        "sys.path.insert(0, os.getcwd())\n"
        "from generation.vision import gate_process\n"
        "true = gate_process.look_at\n"
        "def look_at(path, *rest):\n"
        "    if path.name == '2': os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return true(path, *rest)\n"
        "gate_process.look_at = look_at\n"
        "sys.exit(gate_process.main(sys.argv[3:]))\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(gate.sys, "executable", str(python))
    answer = send(client, photos)
    assert answer.status_code == 400
    assert [(one["index"], one["code"]) for one in answer.json()["images"]] == [(2, "too_heavy")]


def test_memory_and_time_limits_hold_in_the_photo_process():
    code = (
        "from generation.vision import gate_process; gate_process.limit_process()\n"
        "try: kept = bytearray(700 * 2**20)\n"
        "except MemoryError: print('refused', flush=True)\n"
        "import signal; signal.setitimer(signal.ITIMER_PROF, 0.2)\n"
        "while True: pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "refused" and done.returncode == -27  # SIGPROF


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def large_chunks() -> dict[str, bytes]:
    """PNG chunks that are larger than Pillow reads, packed and unpacked."""
    text, profile = (
        bytes(2**24).replace(b"\0", b"a"),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
    )
    padded = profile.tobytes() + bytes(3 * 2**20)
    return {
        "zTXt": chunk(b"zTXt", b"key\0\0" + zlib.compress(text)),
        "iTXt": chunk(b"iTXt", b"key\0\1\0\0\0" + zlib.compress(text)),
        "iTXt, not packed": chunk(b"iTXt", b"key\0\0\0\0\0" + text[: 3 * 2**20]),
        "tEXt": chunk(b"tEXt", b"key\0" + text[: 3 * 2**20]),
        "iCCP": chunk(b"iCCP", b"key\0\0" + zlib.compress(padded)),
        "iCCP beyond reason": chunk(b"iCCP", b"key\0\0" + zlib.compress(text)),
    }


@pytest.mark.parametrize("name", large_chunks())
def test_a_png_with_a_large_text_or_profile_is_a_picture(name):
    content, part = real.saved(real.obama(), "PNG"), large_chunks()[name]
    files = [content[:33] + part + content[33:]]  # before the pixels
    if not name.startswith("iCCP"):
        files.append(content[:-12] + part + content[-12:])  # behind them
    for seen in gate._look_at([SimpleUploadedFile("a", file) for file in files]):
        assert seen.refusals == [] and Image.open(io.BytesIO(seen.clean)).size == real.obama().size


def test_the_orientation_in_a_small_text_chunk_counts(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    xmp += b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp += b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    xmp += b"</rdf:RDF></x:xmpmeta>"
    content = real.saved(Image.new("RGB", (400, 300)), "PNG")
    part = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    (tmp_path / "1").write_bytes(content[:33] + part + content[33:])
    assert decode.clean_photo(tmp_path / "1", 40).size == (300, 400)


def hostile(rng: np.random.Generator) -> list[bytes]:
    """200 files: cut off, bytes changed, headers that lie, bombs, one format in another's clothes, noise."""
    photo = real.obama().resize((320, 400))
    whole = [real.saved(photo, kind) for kind in ("JPEG", "PNG", "WEBP", "HEIF")]
    files = [
        content[: int(len(content) * share)] for content in whole for share in np.linspace(0.01, 0.95, 12)
    ]
    for content in whole:
        for _ in range(20):
            broken = bytearray(content)
            for place in rng.integers(0, min(len(content), 3000), rng.integers(1, 40)):
                broken[place] = rng.integers(0, 256)
            files.append(bytes(broken))
    for side in (300, 4000, 6300, 9000, 65_000, 2**31 - 1):
        for depth, colour in ((8, 2), (16, 6), (1, 0)):
            header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
            pixels = zlib.compress(bytes(8_000_000), 9)
            files.append(
                b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
            )
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9))
    files.append(whole[1][:33] + text * 20 + whole[1][33:])
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(rng.bytes(200_000)))
    files.append(whole[1][:33] + profile + whole[1][33:])
    files += [
        head + rng.bytes(5000) for content in whole for head in (content[:4], content[:16], content[:64])
    ]
    files += [rng.bytes(int(size)) for size in rng.integers(1, 20_000, 24)]
    files += [
        real.saved(photo, kind) for kind in ("GIF", "BMP", "TIFF", "ICO", "TGA", "PPM", "PDF", "DIB", "PCX")
    ]
    files += [real.saved(Image.new("RGB", (w, h)), "PNG") for w, h in ((1, 9000), (9000, 1), (255, 255))]
    files += [b"<svg/>", b"%!PS", b"\0" * 10_000, b"\xff\xd8\xff", whole[0] + whole[1], b"PK\x03\x04"]
    return files[:200]


def test_two_hundred_hostile_files_get_their_code_and_the_caller_does_not_grow(settings):
    """All through the gate, as its caller does it, 40 at a time so that Python starts only some times."""
    files = hostile(np.random.default_rng(7))
    assert len(files) == 200
    gate._look_at([SimpleUploadedFile("a", files[0])])  # whatever is loaded once is loaded
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(0, 200, 40):
        for seen in gate._look_at([SimpleUploadedFile("a", file) for file in files[start : start + 40]]):
            assert {one["code"] for one in seen.refusals + seen.findings} <= set(CODES)
            assert (seen.clean is None) == bool(seen.refusals)
            if seen.clean:  # what was let through is a plain JPEG, whatever it came from
                assert Image.open(io.BytesIO(seen.clean)).format == "JPEG"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024  # kilobytes


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": True, "exif": b"Exif\0\0MM"}, {}])
def test_a_webp_that_takes_too_much_memory_is_not_called_damaged(options, settings):
    """Its header is one of three kinds."""
    content = io.BytesIO()
    Image.new("RGB", (7700, 5180), "teal").save(content, "WEBP", method=0, quality=1, **options)
    [seen] = gate._look_at([SimpleUploadedFile("a.webp", content.getvalue())])
    assert [refusal["code"] for refusal in seen.refusals] == ["too_heavy"]
    content = io.BytesIO()
    Image.radial_gradient("L").resize((300, 300)).save(content, "WEBP", **options)
    [seen] = gate._look_at([SimpleUploadedFile("a.webp", content.getvalue()[:-99])])
    assert [refusal["code"] for refusal in seen.refusals] in (["not_a_picture"], ["broken"])
