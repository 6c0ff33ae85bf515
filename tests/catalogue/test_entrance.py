"""The desk and the import of a zip take the same files, store the same, and refuse the same with a reason."""

import io
import json
import zipfile

import numpy as np
import pytest
from django.core.files.base import ContentFile
from PIL import Image, ImageOps

from benchmarks.harness.admin_forms import management
from benchmarks.harness.catalogue import _drawn
from benchmarks.harness.photographs import saved
from diffuser_api.catalogue import mask_rules, transfer
from diffuser_api.models import Action, ActionImage, Poi, PoiImage
from diffuser_api.photos.pictures import as_png

pytestmark = pytest.mark.slow  # a process opens the files of each form and each zip
DESK = "/admin/diffuser_api"


def drawn_shot() -> dict[str, bytes]:
    shot = _drawn()["shots"]["MES"]
    files = {name: getattr(shot, name) for name in ("skeleton", "subject_mask", "face_mask")}
    return {name: as_png(picture) for name, picture in files.items()} | {"image": as_png(shot.skeleton)}


class Desk:
    def __init__(self, client):
        self.client = client

    def _send(self, model: str, body: dict) -> str | None:
        answer = self.client.post(f"{DESK}/{model}/add/", body, headers={"X-Desk": "1"})
        return json.dumps(answer.json()["errors"]) if answer.status_code == 400 else None

    def place(self, content: bytes, name: str = "Lago") -> str | None:
        body = management(TOTAL_FORMS="1", MAX_NUM_FORMS="1000") | {"name": name, "images-0-name": "view"}
        body |= {"images-0-description": "a lake", "images-0-image": ContentFile(content, "a.jpg")}
        return self._send("poi", body)

    def shot(self, **files: bytes) -> str | None:
        body = management(TOTAL_FORMS="1") | {"name": "bowing", "description": "bowing deeply"}
        body |= {"images-0-shot_type": "MES", "images-0-kind": "skeleton"}
        for field, content in (drawn_shot() | files).items():
            if field != "skeleton":  # made of the image
                body[f"images-0-{field}"] = ContentFile(content, f"{field}.png")
        return self._send("action", body)


class Zip:
    def _send(self, files: dict[str, bytes], **index) -> str | None:
        index = {"format": "cartolina-catalogue", "version": 1, "places": [], "actions": []} | index
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("catalogue.json", json.dumps(index))
            for name, part in files.items():
                archive.writestr(name, part)
        return " ".join(transfer.read(content).left_out) or None

    def place(self, content: bytes, name: str = "Lago") -> str | None:
        image = {"name": "view", "description": "a lake", "image": "pois/a.jpg"}
        return self._send({"pois/a.jpg": content}, places=[{"name": name, "images": [image]}])

    def shot(self, **files: bytes) -> str | None:
        contents = drawn_shot() | files
        shot = {"shot_type": "MES", "kind": "skeleton"} | {name: f"actions/{name}.png" for name in contents}
        action = {"name": "bowing", "description": "bowing deeply", "shots": [shot]}
        parts = {f"actions/{name}.png": content for name, content in contents.items()}
        return self._send(parts, actions=[action])


@pytest.fixture(params=["desk", "zip"])
def door(request, admin_client):
    return Desk(admin_client) if request.param == "desk" else Zip()


def as_array(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def white(content: bytes) -> np.ndarray:
    return as_array(content) > 127


# --- masks that mean something else -------------------------------------------------------------------------


def on_transparent(mask: Image.Image, colour: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    picture = Image.new("RGB", mask.size, colour)
    picture.putalpha(mask)
    return picture


def sixteen_bits(mask: Image.Image, black: int, white: int) -> Image.Image:
    return Image.fromarray(np.where(np.asarray(mask) > 127, white, black).astype(np.uint16))


def with_transparent_index(mask: Image.Image) -> Image.Image:
    """White on a transparent palette entry that is white too."""
    picture = Image.fromarray((np.asarray(mask) > 127).astype(np.uint8), "P")
    picture.putpalette([255] * 6)
    picture.info["transparency"] = 0
    return picture


MASKS = {
    "white on transparent, RGBA": lambda m: saved(on_transparent(m), "PNG"),
    "white on transparent, LA": lambda m: saved(Image.merge("LA", (Image.new("L", m.size, 255), m)), "PNG"),
    "white on transparent, palette": lambda m: saved(with_transparent_index(m), "PNG"),
    "white on transparent, WebP": lambda m: saved(on_transparent(m), "WEBP", lossless=True),
    "red on transparent": lambda m: saved(on_transparent(m, (230, 20, 20)), "PNG"),
    "16 bits, black not quite 0": lambda m: saved(sixteen_bits(m, 700, 65_000), "PNG"),
    "16 bits with noise": lambda m: saved(
        Image.fromarray((np.asarray(sixteen_bits(m, 900, 60_000)) + np.arange(256)).astype(np.uint16)), "PNG"
    ),
    "12 bits in 16": lambda m: saved(sixteen_bits(m, 0, 4095), "PNG"),
    "0 and 1": lambda m: saved(m.point(lambda v: v > 127), "PNG"),
    "one bit": lambda m: saved(m.convert("1"), "PNG"),
    "BMP": lambda m: saved(m, "BMP"),
    "GIF": lambda m: saved(m, "GIF"),
    "TIFF": lambda m: saved(m, "TIFF"),
    "a fraction, TIFF": lambda m: saved(Image.fromarray(np.asarray(m, np.float32) / 255), "TIFF"),
    "three times as large": lambda m: saved(m.resize((3 * m.width, 3 * m.height)), "PNG"),
}


@pytest.mark.parametrize("way", MASKS)
def test_a_mask_is_stored_as_the_shape_that_was_drawn(way, door, db):
    masks = {name: content for name, content in drawn_shot().items() if name.endswith("mask")}
    masks = {name: Image.open(io.BytesIO(content)) for name, content in masks.items()}
    assert door.shot(**{name: MASKS[way](mask) for name, mask in masks.items()}) is None
    shot = ActionImage.objects.get()
    for name, mask in masks.items():
        content = getattr(shot, name).read()
        stored = Image.open(io.BytesIO(content))
        assert (stored.format, stored.mode, stored.size) == ("PNG", "L", mask.size)
        assert (white(content) != (np.asarray(mask) > 127)).mean() < 0.01


def at_the_feet(mask: Image.Image) -> Image.Image:
    moved = Image.new("L", mask.size)
    moved.paste(255, (110, 190, 140, 220))
    return moved


def all_but_the_edge(mask: Image.Image) -> Image.Image:
    white = Image.new("L", mask.size)
    white.paste(255, (4, 4, mask.width - 4, mask.height - 4))
    return white


IMPLAUSIBLE = {
    "white all over": ("subject_mask", lambda m: m.point(lambda v: 255), "painted over"),
    "white all over but for the edge": ("subject_mask", all_but_the_edge, "painted over"),
    "a face as large as the picture": ("face_mask", all_but_the_edge, "painted over"),
    "black and white exchanged": ("subject_mask", ImageOps.invert, "invert the mask"),
    "a face white nearly everywhere": ("face_mask", ImageOps.invert, "painted over"),
    "black on transparent": ("subject_mask", lambda m: on_transparent(m, (0, 0, 0)), "empty"),
    "a face at the feet": ("face_mask", at_the_feet, "skeleton's face"),
    "another shape": ("face_mask", lambda m: m.resize((300, 256)), "300 x 256 pixels, the picture 256 x 256"),
}


@pytest.mark.parametrize("case", IMPLAUSIBLE)
def test_a_mask_that_means_nothing_is_refused_with_a_sentence(case, door, db):
    field, change, word = IMPLAUSIBLE[case]
    mask = Image.open(io.BytesIO(drawn_shot()[field]))
    said = door.shot(**{field: saved(change(mask), "PNG")})
    assert said and field in said and word in said
    assert not Action.objects.exists()


def test_exchanged_black_and_white_is_told_even_if_no_joint_can_be_read():
    files = drawn_shot()
    subject = Image.open(io.BytesIO(files["subject_mask"]))
    black, exchanged = Image.new("RGB", subject.size), ImageOps.invert(subject)
    pictures = (files["image"], as_png(black), as_png(exchanged), files["face_mask"])
    found = mask_rules.problems(*(ContentFile(content) for content in pictures))
    assert "invert the mask" in found["subject_mask"]


def test_a_zip_whose_skeleton_has_another_size_than_its_masks_is_refused_with_both_sizes(db):
    half = Image.open(io.BytesIO(drawn_shot()["skeleton"])).resize((256, 128))
    assert "256 x 128 pixels, the picture 256 x 256" in Zip().shot(skeleton=as_png(half))


def test_a_transparent_skeleton_lies_on_black(door, db):
    skeleton = Image.open(io.BytesIO(drawn_shot()["skeleton"]))
    lines = skeleton.convert("L").point(lambda v: 255 if v > 0 else 0)
    skeleton.putalpha(lines)
    transparent = saved(skeleton, "PNG")
    assert door.shot(image=transparent, skeleton=transparent) is None
    stored = as_array(ActionImage.objects.get().skeleton.read())
    assert (stored == as_array(drawn_shot()["skeleton"])).all()


def test_own_masks_for_a_photo_over_1024_pixels_are_taken(admin_client):
    """The picture is made smaller when its pose is looked for; the masks follow it."""
    from tests.admin.test_desk_pages import figure

    photo = figure().resize((3072, 3072))
    mask = Image.new("L", photo.size)
    mask.paste(255, (300, 100, 2772, 3072))
    body = management(TOTAL_FORMS="1") | {"name": "bowing", "description": "bowing deeply"}
    body |= {"images-0-shot_type": "MES", "images-0-image": ContentFile(saved(photo, "JPEG"), "p.jpg")}
    body |= {"images-0-subject_mask": ContentFile(as_png(mask), "m.png")}
    answer = admin_client.post(f"{DESK}/action/add/", body, headers={"X-Desk": "1"})
    assert "location" in answer.json(), answer.json()
    shot = ActionImage.objects.get()
    assert Image.open(shot.subject_mask).size == Image.open(shot.image).size == (1024, 1024)


# --- places -------------------------------------------------------------------------------------------------


def sideways(picture: Image.Image) -> bytes:
    exif = picture.getexif()
    exif[0x0112] = 6
    return saved(picture, "JPEG", exif=exif)


def test_a_sideways_photo_is_stored_upright(door, db):
    picture = Image.linear_gradient("L").resize((300, 400)).convert("RGB")  # dark above
    assert door.place(sideways(picture.rotate(90, expand=True))) is None
    stored = as_array(PoiImage.objects.get().image.read())
    assert stored.shape == (400, 300, 3) and stored[:20].mean() < 50 < stored[-20:].mean()


def test_a_picture_of_16_bits_keeps_its_greys(door, db):
    grey = np.linspace(0, 65_535, 300 * 300).reshape(300, 300).astype(np.uint16)
    assert door.place(saved(Image.fromarray(grey), "PNG")) is None
    assert abs(as_array(PoiImage.objects.get().image.read()).mean() - 127) < 3


def test_transparent_parts_of_a_place_are_white(door, db):
    assert door.place(saved(Image.new("RGBA", (300, 300), (0, 0, 0, 0)), "PNG")) is None
    assert as_array(PoiImage.objects.get().image.read()).min() > 250


def a_photo() -> bytes:
    return saved(Image.effect_noise((400, 300), 60).convert("RGB"), "JPEG")


BAD_PLACES = {
    "half a JPEG": (lambda: a_photo()[: len(a_photo()) // 2], "damaged or cut off"),
    "1 x 1": (lambda: saved(Image.new("RGB", (1, 1)), "PNG"), "at least 256"),
    "3000 x 2": (lambda: saved(Image.new("RGB", (3000, 2)), "PNG"), "at least 256"),
    "9000 x 300": (lambda: saved(Image.new("RGB", (9000, 300)), "PNG"), "8 times the other"),
    "a film": (lambda: saved(Image.new("RGB", (300, 300)), "GIF", save_all=True,
               append_images=[Image.new("RGB", (300, 300), "red")]), "animated"),
    "no picture": (lambda: b"<svg/>", "no JPEG"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PLACES)
def test_a_place_that_no_job_could_use_is_refused_with_its_reason(case, door, db):
    make, word = BAD_PLACES[case]
    assert word in door.place(make())
    assert not Poi.objects.exists()


def test_a_jpeg_that_is_plain_already_is_stored_as_it_is(door, db):
    content = a_photo()
    assert door.place(content) is None
    assert PoiImage.objects.get().image.read() == content


@pytest.mark.parametrize("hidden", ["metadata", "something behind its end"])
def test_nothing_but_pixels_is_stored_of_a_jpeg(hidden, door, db):
    exif = Image.Exif()
    exif[0x010F] = "hidden text"
    photo = Image.effect_noise((400, 300), 60).convert("RGB")
    content = saved(photo, "JPEG", exif=exif) if hidden == "metadata" else a_photo() + b"hidden text"
    assert door.place(content) is None
    assert b"hidden text" not in PoiImage.objects.get().image.read()


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Citta\u0300 d\u2019Arte", "  Citt\u00e0  d\u2019Arte\u00a0", "\ufeffCitt\u00e0 d\u2019Arte"]
)
def test_a_name_that_looks_the_same_is_the_same_place(name, door, db, client):
    from diffuser_api.catalogue import lookup

    wanted = "Citt\u00e0 d\u2019Arte"
    assert door.place(a_photo(), name=name) is None
    assert Poi.objects.get().name == wanted
    assert lookup.poi_image_get(name, "view") == lookup.poi_image_get(wanted, "view")
    again = door.place(a_photo(), name=wanted)
    assert Poi.objects.count() == 1 and (again is None or "already exists" in again)


def test_two_images_whose_names_look_the_same_are_refused_on_one_page(admin_client):
    body = management(TOTAL_FORMS="2", MAX_NUM_FORMS="1000") | {"name": "Lago"}
    for k, name in enumerate(("caffe\u0300", "caff\u00e8 ")):
        body |= {f"images-{k}-name": name, f"images-{k}-description": "a lake"}
        body[f"images-{k}-image"] = ContentFile(a_photo(), "a.jpg")
    answer = admin_client.post(f"{DESK}/poi/add/", body, headers={"X-Desk": "1"})
    assert answer.status_code == 400 and not Poi.objects.exists()
