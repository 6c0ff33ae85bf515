"""Postcards to print: the PDF is rasterised and measured as a printer would."""

from __future__ import annotations

import io
import itertools
import re
import shutil
import struct
import subprocess
import time

import numpy as np
import pytest
import zxingcpp
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image, ImageChops

from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_client, make_job
from diffuser_api.jobs import status_changes
from diffuser_api.models import Client, Job, PostcardLayout
from diffuser_api.photos.pictures import as_png
from diffuser_api.postcards import fonts, printing, text
from diffuser_api.postcards.card import Box
from diffuser_api.postcards.fonts import _FOLDER
from studio import sentences
from studio.visitors import CLIENT

LINK = "https://cartolina.example/p/12345678"
SHEETS = {"trimmed": (150, 100), "bleed": (156, 106), "crop_marks": (170, 120)}
needs_poppler = pytest.mark.skipif(not shutil.which("pdftoppm"), reason="needs poppler-utils")


@pytest.fixture
def catalogue(db):
    """As everywhere, but rolled back at the end, which is quicker: no thread or process looks on here."""
    return make_catalogue()


@pytest.fixture
def job(catalogue, tmp_path) -> Job:
    """A finished picture, red on the left and blue on the right."""
    shown = Image.new("RGB", (768, 512), "red")
    shown.paste("blue", (384, 0, 768, 512))
    shown.save(tmp_path / "done.png")
    assert status_changes.finish_generation(status_changes.claim(make_job().code), tmp_path / "done.png")
    return Job.objects.get()


def ask(client, job, **fields):
    return client.post(f"/api/jobs/{job.code}/postcard/", fields, "application/json")


def pages(pdf: bytes, folder, dpi: int = 300) -> list[Image.Image]:
    (folder / "card.pdf").write_bytes(pdf)
    subprocess.run(["pdftoppm", "-r", str(dpi), "-png", "card.pdf", "side"], cwd=folder, check=True)
    return [Image.open(path).convert("RGB") for path in sorted(folder.glob("side-*.png"))]


def told(program: str, pdf: bytes, folder, *options: str) -> str:
    (folder / "card.pdf").write_bytes(pdf)
    command = [program, *options, "card.pdf", *(["-"] if program == "pdftotext" else [])]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@needs_poppler
@pytest.mark.parametrize(
    ("edges", "orientation"), [("trimmed", "portrait"), ("bleed", "landscape"), ("crop_marks", "portrait")]
)
def test_the_sheet_has_the_cards_size_with_bleed_and_marks_and_every_font(
    edges, orientation, client, job, tmp_path
):
    wish = {"edges": edges, "orientation": orientation, "layout": "full bleed", "greeting": "Saluti!"}
    answer = ask(client, job, **wish, message="Ciao", link=LINK)
    assert answer.status_code == 200 and answer["Content-Type"] == "application/pdf"
    front, back = pages(answer.content, tmp_path)
    sides = SHEETS[edges] if orientation == "landscape" else SHEETS[edges][::-1]
    expected = [round(side / 25.4 * 300) for side in sides]
    assert front.size == back.size and np.allclose(front.size, expected, atol=1)
    boxes = told("pdfinfo", answer.content, tmp_path, "-box")
    trim, bleed = (
        [float(number) for number in re.search(rf"{name}Box: +(.*)", boxes)[1].split()]
        for name in ("Trim", "Bleed")
    )
    card = (150, 100) if orientation == "landscape" else (100, 150)
    beyond = 0 if edges == "trimmed" else 3 / 25.4 * 72
    assert np.allclose(np.subtract(bleed, trim), [-beyond, -beyond, beyond, beyond], atol=0.1)
    assert np.allclose([trim[2] - trim[0], trim[3] - trim[1]], [side / 25.4 * 72 for side in card], atol=0.1)
    embedded = told("pdffonts", answer.content, tmp_path).splitlines()[2:]
    assert len(embedded) == 2 and all(line.split()[-5] == "yes" for line in embedded), embedded
    # The picture reaches the bleed's edge, and nothing but marks lies beyond it.
    sheet, beyond = np.asarray(front).astype(int), round((10 - 3) / 25.4 * 300)
    if edges == "crop_marks":
        assert (sheet[beyond + 3, beyond + 3] != 255).any()
        ring = np.ones(sheet.shape[:2], bool)
        ring[beyond - 2 : -beyond + 2, beyond - 2 : -beyond + 2] = False
        dark = (sheet.min(2) < 128) & ring
        rows, columns = np.nonzero(dark)
        at = round(10 / 25.4 * 300)
        near = lambda places, whole: np.minimum(abs(places - at), abs(places - (whole - at))) <= 3  # noqa: E731
        assert len(rows) and (near(rows, dark.shape[0]) | near(columns, dark.shape[1])).all()
    else:
        corners = sheet[[2, 2, -3, -3], [2, -3, 2, -3]]
        assert (corners.max(1) - corners.min(1) > 50).all()


@needs_poppler
@pytest.mark.parametrize("link", [LINK, "https://cartolina.example/p/" + "aB3_kd9Zq" * 18])
def test_the_qr_code_is_read_back(link, client, job, tmp_path):
    _, back = pages(ask(client, job, link=link).content, tmp_path)
    assert [found.text for found in zxingcpp.read_barcodes(back)] == [link]


@needs_poppler
@pytest.mark.parametrize("orientation", ["landscape", "portrait"])
@pytest.mark.parametrize("word", ["Wochenendausflug", "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW", "o"])
def test_the_longest_text_that_is_taken_is_not_clipped(word, orientation, client, job, tmp_path):
    greeting = "Greetings from the most beautiful place on the whole planet!"
    wish = {
        "orientation": orientation,
        "greeting": greeting,
        "link": LINK,
        "address": "\n".join(["W" * 40] * 5),
    }
    count = 600 // (len(word) + 1)
    while (answer := ask(client, job, message=" ".join([word] * count), **wish)).status_code == 400:
        assert "too long" in answer.json()["message"][0]
        count -= 1
    said = told("pdftotext", answer.content, tmp_path, "-bbox")
    width, height = (425.2, 283.5) if orientation == "landscape" else (283.5, 425.2)
    words = re.findall(r'xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)</word', said)
    letters = "".join(found[4] for found in words)
    assert letters.count(word[0] if word == "o" else word[:8]) >= count
    assert greeting.replace(" ", "") in letters and letters.count("W") == 5 * 40 + count * word.count("W")
    for left, top, right, bottom in ([float(n) for n in found[:4]] for found in words):
        assert 0 < left < right < width and 0 < top < bottom < height
    half = [one for one in words if one[4] in (word, word + ".")]
    assert all(float(one[2]) < 78 * 72 / 25.4 for one in half) or orientation == "portrait"


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"greeting": "你好"}, "greeting", "你好"),
        ({"message": "Ciao 🙂"}, "message", "🙂"),
        ({"address": "שלום"}, "address", "שלום"),
        ({"message": "x\n" * 200}, "message", "too long"),
        ({"address": "a\n" * 6 + "b"}, "address", "at most 5 lines"),
        ({"layout": "gold"}, "layout", "framed, full bleed"),
        ({"link": "javascript:alert(1)"}, "link", "valid URL"),
        ({"format": "docx"}, "format", "pdf, jpeg, png"),
        ({"greeting": "x" * 61}, "greeting", "60"),
    ],
)
def test_what_cannot_be_printed_is_refused_by_its_field(fields, field, words, client, job):
    answer = ask(client, job, **fields)
    assert answer.status_code == 400 and list(answer.json()) == [field]
    assert words in answer.json()[field][0]


def test_greek_and_cyrillic_are_printed(client, job):
    assert ask(client, job, greeting="Χαιρετίσματα", message="Привет, Čeština, Tiếng Việt").status_code == 200


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_one_side_as_a_picture_has_300_dots_on_an_inch(kind, client, job):
    shown = {}
    for side in printing.SIDES:
        answer = ask(client, job, format=kind, side=side, orientation="portrait")
        shown[side] = Image.open(io.BytesIO(answer.content))
        assert np.allclose(shown[side].size, (1181, 1772), atol=1) and shown[side].format == kind.upper()
        assert np.allclose(shown[side].info["dpi"], 300, atol=1)
    assert shown["front"].tobytes() != shown["back"].tobytes()


def test_the_answer_says_how_fine_the_picture_is_in_print(client, job):
    """512 pixels on 10.6 cm. The embedded models have painted the person in 312 x 208 pixels of 768 x 512."""
    answer = ask(client, job, layout="full bleed")
    assert (answer["X-Picture-DPI"], answer["X-Person-DPI"]) == ("122", "50")


@pytest.mark.parametrize(
    ("profile", "size", "dots", "look"),
    [
        ("miniature", (256, 256), "The picture has 41 dots on an inch of the card", "blurred, as"),
        ("miniature", (2048, 1365), "the place has 327 dots and the person 50", "blurred, as"),
        ("sd15", (768, 512), "The picture has 122 dots on an inch of the card", "soft: fine"),
        ("sd15", (1536, 1024), "the place has 245 dots and the person 122", "soft: fine"),
    ],
)
def test_the_studio_says_how_far_a_picture_is_from_looking_sharp(
    profile, size, dots, look, client, job, settings, monkeypatch
):
    settings.STUDIO = True
    monkeypatch.setenv("MODEL_PROFILE", profile)
    job.output.save("sized.png", ContentFile(as_png(Image.new("RGB", size, "red"))))
    client.get("/")
    visitor = client.cookies["studio"].value.split(":")[0]
    Job.objects.filter(pk=job.pk).update(client=Client.objects.get(name=CLIENT), visitor=visitor)
    page = client.post(f"/jobs/{job.code}/postcard/", {"layout": "full bleed"}).content.decode()
    assert f"{dots}; it takes 300 to look sharp. In print it will look {look}" in page


def test_softness_is_said_only_where_it_is_seen():
    texts = [sentences.softness(dpi) for dpi in (73, 150, 250, 300)]
    assert "blurred, as" in texts[0] and "fine lines" in texts[1] and "a little soft" in texts[2]
    assert texts[3] == ""


def test_a_card_is_printed_for_the_pictures_owner_and_once_it_is_there(client, job, settings):
    settings.OPEN_API = False
    owner, token = make_client("owner")
    _, other = make_client("other")
    waiting = make_job(owner)
    Job.objects.filter(pk=job.pk).update(client=owner)
    path = f"/api/jobs/{job.code}/postcard/"
    assert client.post(path, {}, headers=token).status_code == 200
    assert client.post(path, {}, headers=other).status_code == 404
    assert client.post(path, {}).status_code == 401
    assert client.post(f"/api/jobs/{waiting.code}/postcard/", {}, headers=token).status_code == 409


def test_editors_set_logo_font_and_layout(admin_client, client, job, tmp_path):
    logo = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    logo.paste((0, 255, 0, 255), (50, 0, 150, 100))
    font = (_FOLDER / "NotoSerif-SemiBoldItalic.ttf").read_bytes()
    form = {"name": "ours", "style": "full_bleed", "logo_corner": "top-left", "position": 1}
    path = "/admin/diffuser_api/postcardlayout/add/"
    broken = admin_client.post(path, form | {"font": SimpleUploadedFile("x.ttf", b"no font")})
    assert "no TrueType font" in broken.content.decode() and not PostcardLayout.objects.exists()
    files = {"font": SimpleUploadedFile("x.ttf", font), "logo": SimpleUploadedFile("x.png", as_png(logo))}
    assert admin_client.post(path, form | files).status_code == 302
    answer = ask(client, job, greeting="Ciao", format="png", link=LINK)
    shown = Image.open(io.BytesIO(answer.content)).convert("RGB")
    left = round(6 / 25.4 * 300)
    assert shown.getpixel((left + 140, left + 60)) == (0, 255, 0)  # its middle
    assert (
        shown.getpixel((left + 10, left + 60)) == (254, 0, 0) or shown.getpixel((left + 10, left + 60))[1] < 9
    )
    if shutil.which("pdffonts"):
        embedded = told("pdffonts", ask(client, job, greeting="Ciao").content, tmp_path)
        assert "NotoSerif-SemiBoldItalic" in embedded and "NotoSerif-Regular" not in embedded
    assert "ours" in ask(client, job, layout="framed").json()["layout"][0]


def _all_letters(font: bytes) -> bytes:
    """Its tables of letters say that they are of format 12, with a range of four billion letters."""
    table = int.from_bytes(font[font.index(b"cmap") + 8 :][:4], "big")
    [number] = struct.unpack_from(">H", font, table + 2)
    changed = bytearray(font)
    for place in range(number):
        [start] = struct.unpack_from(">I", font, table + 4 + 8 * place + 4)
        struct.pack_into(">HHIIIIII", changed, table + start, 12, 0, 28, 0, 1, 0, 2**32 - 1, 0)
    return bytes(changed)


@pytest.mark.parametrize("broken", [_all_letters, lambda font: font[:300], lambda font: font[:-90_000]])
def test_a_font_that_ends_its_reader_is_refused_like_any_other(admin_client, settings, broken):
    font = broken((_FOLDER / "NotoSerif-SemiBoldItalic.ttf").read_bytes())
    form = {"name": "ours", "style": "full_bleed", "logo_corner": "top-left", "position": 1}
    path = "/admin/diffuser_api/postcardlayout/add/"
    answer = admin_client.post(path, form | {"font": SimpleUploadedFile("x.ttf", font)})
    assert answer.status_code == 200 and "no TrueType font" in answer.content.decode()
    assert not PostcardLayout.objects.exists() and not list(settings.TMP_DATA_DIR.iterdir())


def test_a_card_whose_picture_is_cut_has_the_visible_label_within_its_edges(client, job, settings):
    shown = {}
    for settings.SOMEBODY_ELSE_LABELS in (False, True):
        answer = ask(client, job, layout="full bleed", orientation="portrait", format="png", show_place=False)
        shown[settings.SOMEBODY_ELSE_LABELS] = Image.open(io.BytesIO(answer.content)).convert("RGB")
    left, top, right, bottom = ImageChops.difference(shown[False], shown[True]).getbbox()
    assert left > 0 and top > 0 and right - left > bottom - top > 0.06 * 1181  # at the upper left, whole
    assert right < 400 and bottom < 300


def test_a_word_of_the_greeting_is_not_broken_where_a_smaller_size_holds_it():
    said, narrow = "Greetings from Cala Serena", Box(0, 0, 39, 88)
    fitted = text.fit("greeting", said, fonts.shipped().greeting, narrow, (8.0, 30.0))
    assert " ".join(fitted.lines) == said
    giant = text.fit("greeting", "W" * 60, fonts.shipped().greeting, narrow, (8.0, 30.0))
    assert "".join(giant.lines) == "W" * 60  # a word that no size holds


@needs_poppler
def test_a_places_name_without_a_greeting_is_no_small_print(client, job, tmp_path):
    heights = []
    for greeting in ("", "Saluti!"):
        said = told("pdftotext", ask(client, job, greeting=greeting).content, tmp_path, "-bbox")
        top, bottom = re.search(r'yMin="(.*?)" xMax=".*?" yMax="(.*?)">Piazza</word', said).groups()
        heights.append(float(bottom) - float(top))
    assert heights[0] > 1.5 * heights[1]


def test_cards_of_one_address_do_not_keep_the_web_server_busy(client, job, settings, monkeypatch):
    settings.PHOTO_RATE = (30, 60)
    monkeypatch.setattr(time, "thread_time", itertools.count(0, 40).__next__)  # a card takes 40 seconds
    url, work = f"/api/jobs/{job.code}/", []
    monkeypatch.setattr(printing, "as_pdf", lambda *_: work.append("a card") or b"%PDF-")
    first, second = ask(client, job), ask(client, job)
    assert (first.status_code, second.status_code, work) == (200, 429, ["a card"])
    assert 0 < int(second["Retry-After"]) <= 60 and "again" in second.json()["detail"]
    assert client.get(url).status_code == 200  # pages are no such work
    other = client.post(f"{url}postcard/", {}, "application/json", REMOTE_ADDR="127.0.0.2")
    assert (other.status_code, work) == (200, ["a card"] * 2)


def test_a_visitor_who_printed_too_many_cards_is_told_so(client, job, settings, monkeypatch):
    settings.STUDIO, settings.PHOTO_RATE = True, (30, 60)
    monkeypatch.setattr(time, "thread_time", itertools.count(0, 40).__next__)
    client.get("/")
    visitor = client.cookies["studio"].value.split(":")[0]
    Job.objects.filter(pk=job.pk).update(client=Client.objects.get(name=CLIENT), visitor=visitor)
    answers = [client.post(f"/jobs/{job.code}/postcard/", {"file": "pdf"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert "Try again in a minute" in answers[1].content.decode()
