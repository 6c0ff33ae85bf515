"""The catalogue goes out and comes in again as it was; a zip that is something else changes nothing."""

import io
import json
import struct
import zipfile

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from PIL import Image

from benchmarks.harness.admin_forms import stored
from benchmarks.harness.hostile_files import bomb
from diffuser_api.catalogue import transfer
from diffuser_api.models import Action, ActionImage, Poi, PoiImage
from diffuser_api.photos.pictures import as_png

EXPORT, IMPORT = "/admin/diffuser_api/poi/catalogue.zip", "/admin/diffuser_api/poi/import/"


def rows() -> list:
    """Every field of every row, and every file's name and bytes."""
    files = ("image", "skeleton", "subject_mask", "face_mask")
    found = [list(Poi.objects.values_list("name")), list(Action.objects.values_list("name", "description"))]
    for image in PoiImage.objects.order_by("poi__name", "name"):
        found.append((image.poi.name, image.name, image.description, image.image.name, image.image.read()))
    for shot in ActionImage.objects.order_by("action__name", "shot_type"):
        held = [(getattr(shot, field).name, getattr(shot, field).read()) for field in files]
        found.append((shot.action.name, shot.shot_type, shot.kind, held))
    return found


def exported() -> bytes:
    target = io.BytesIO()
    transfer.write(target)
    return target.getvalue()


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes], compression=zipfile.ZIP_STORED) -> io.BytesIO:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    target.seek(0)
    return target


def clear() -> None:
    Poi.objects.all().delete()
    Action.objects.all().delete()


def test_an_exported_catalogue_imports_as_it_was(catalogue, own_data_folder):
    ActionImage.objects.filter(shot_type="CLS").update(kind="photo")
    Poi.objects.create(name="<b>è un altro posto</b> 🏝")
    before, files, content = rows(), stored(own_data_folder), exported()
    clear()
    assert not stored(own_data_folder)
    counts = transfer.read(io.BytesIO(content))
    assert (counts["changed"], counts["same"]) == (0, 0) and counts["added"] == 2 + 2 + 2 + 4
    assert rows() == before
    assert stored(own_data_folder) == files
    assert parts_of(exported()) == parts_of(content)


def test_the_same_zip_twice_changes_nothing(catalogue, own_data_folder):
    before, files = rows(), stored(own_data_folder)
    counts = transfer.read(io.BytesIO(exported()))
    assert (counts["added"], counts["changed"], counts["same"]) == (0, 0, 9)
    assert rows() == before and stored(own_data_folder) == files


def test_an_import_updates_by_name_and_leaves_the_rest(catalogue, own_data_folder):
    content, image = exported(), PoiImage.objects.get(name="noon")
    pk = image.pk
    image.description = "changed meanwhile"
    image.image.save("other.png", ContentFile(as_png(Image.new("RGB", (300, 300), "red"))))
    Poi.objects.create(name="Another")
    before = len(stored(own_data_folder))
    counts = transfer.read(io.BytesIO(content))
    assert (counts["added"], counts["changed"]) == (0, 1)
    image.refresh_from_db()
    assert (image.pk, image.description) == (pk, "sunny town square")
    assert image.image.read() == PoiImage.objects.get(name="dusk").image.read()
    assert Poi.objects.filter(name="Another").exists()
    assert len(stored(own_data_folder)) == before


def test_the_commands_export_and_import_the_catalogue(catalogue, tmp_path, capsys):
    file, before = tmp_path / "catalogue.zip", rows()
    call_command("export_catalogue", file)
    clear()
    call_command("import_catalogue", file)
    assert rows() == before
    assert "9 added" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("catalogue*")] == ["catalogue.zip"]
    file.write_bytes(b"no zip")
    with pytest.raises(CommandError, match="Nothing was imported"):
        call_command("import_catalogue", file)


def test_the_admins_buttons_export_and_import_the_catalogue(catalogue, admin_client):
    before = rows()
    for model in ("poi", "action"):
        page = admin_client.get(f"/admin/diffuser_api/{model}/").content.decode()
        assert EXPORT in page and IMPORT in page
    answer = admin_client.get(EXPORT)
    content = b"".join(answer.streaming_content)
    assert answer["Content-Type"] == "application/zip" and "attachment" in answer["Content-Disposition"]
    clear()
    file = ContentFile(content, name="catalogue.zip")
    page = admin_client.post(IMPORT, {"file": file}, follow=True).content.decode()
    assert "9 added, 0 changed" in page and rows() == before
    bad = ContentFile(b"no zip", name="<img src=x>.zip")
    page = admin_client.post(IMPORT, {"file": bad}).content.decode()
    assert "Nothing was imported" in page and "<img src=x>" not in page


def test_only_editors_may_export_and_import(catalogue, client, django_user_model):
    for user in (None, django_user_model.objects.create_user("staff", is_staff=True)):
        if user:
            client.force_login(user)
        for answer in (client.get(EXPORT), client.get(IMPORT), client.post(IMPORT, {})):
            assert answer.status_code == (403 if user else 302)


# --- zips that are something else ---------------------------------------------------------------------------


def changed_index(change) -> dict[str, bytes]:
    parts = parts_of(exported())
    index = json.loads(parts["catalogue.json"])
    change(index)
    return parts | {"catalogue.json": json.dumps(index).encode()}


def renamed(name: str):
    """The first picture under another name, in the index too."""

    def make() -> dict[str, bytes]:
        parts = parts_of(exported())
        index = json.loads(parts["catalogue.json"])
        image = index["places"][0]["images"][0]
        content = parts.pop(image["image"])
        image["image"] = name
        return parts | {name: content, "catalogue.json": json.dumps(index).encode()}

    return make


def first_picture(content: bytes):
    def make() -> dict[str, bytes]:
        parts = parts_of(exported())
        return parts | {next(name for name in parts if name.startswith("pois/")): content}

    return make


HOSTILE = {
    "up": (renamed("../../evil.png"), "no name"),
    "up inside": (renamed("pois/../../evil.png"), "no name"),
    "absolute": (renamed("/etc/cron.d/evil"), "no name"),
    "backslashes": (renamed("pois\\..\\evil.png"), "no name"),
    "elsewhere": (renamed("loras/evil.png"), "no name"),
    "the index itself": (
        lambda: changed_index(lambda i: i["places"][0]["images"][0].update(image="catalogue.json")),
        "isn't in the zip",
    ),
    "missing": (
        lambda: changed_index(lambda i: i["places"][0]["images"][0].update(image="pois/none.png")),
        "isn't in the zip",
    ),
    "more files": (lambda: parts_of(exported()) | {"readme.txt": b"hello"}, "no name"),
    "no index": (lambda: {"pois/a.png": b""}, "no catalogue.json"),
    "no JSON": (lambda: {"catalogue.json": b"{"}, "no JSON"),
    "deep JSON": (lambda: {"catalogue.json": b"[" * 200_000}, "no JSON"),
    "another format": (lambda: changed_index(lambda i: i.update(version=2)), "version 1"),
    "a number for a name": (lambda: changed_index(lambda i: i["places"][0].update(name=5)), "'name'"),
    "a broken letter": (lambda: changed_index(lambda i: i["places"][0].update(name="\ud800")), "'name'"),
    "a zero": (lambda: changed_index(lambda i: i["places"][0].update(name="a\0b")), "'name'"),
    "a list for a place": (lambda: changed_index(lambda i: i.update(places=[[]])), "'places'"),
    "a long name": (lambda: changed_index(lambda i: i["places"][0].update(name="n" * 101)), "100 characters"),
    "another shot": (
        lambda: changed_index(lambda i: i["actions"][1]["shots"][0].update(shot_type="XXS")),
        "shot_type",
    ),
    "no picture": (first_picture(b"<svg onload=alert(1)>"), "no JPEG"),
    "half a picture": (first_picture(as_png(Image.effect_noise((256, 256), 50))[:-300]), "no JPEG"),
    "many pixels": (first_picture(bomb(8_000)), "megapixels"),
    "very many pixels": (first_picture(bomb(50_000)), "megapixels"),
    "masks of another size": (
        lambda: changed_index(
            lambda i: i["actions"][1]["shots"][0].update(face_mask=i["places"][0]["images"][0]["image"])
        ),
        "face mask",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_and_changes_nothing(name, catalogue, own_data_folder):
    make, word = HOSTILE[name]
    parts = make()
    PoiImage.objects.filter(name="dusk").delete()  # so that there is something to add before it is refused
    before, files = rows(), stored(own_data_folder)
    with pytest.raises(transfer.CatalogueRefused, match=word):
        transfer.read(zipped(parts))
    assert rows() == before and stored(own_data_folder) == files


def test_sizes_and_counts_are_limited_before_anything_is_unpacked(catalogue, settings, monkeypatch):
    parts = parts_of(exported())
    settings.MAX_UPLOAD_MB = 1
    zeros = parts | {"pois/zeros.png": b"\0" * 2 * 2**20}  # 2 kB in the zip
    with pytest.raises(transfer.CatalogueRefused, match="larger than 1 MB"):
        transfer.read(zipped(zeros, zipfile.ZIP_DEFLATED))
    monkeypatch.setattr(transfer, "MAX_FILES", 5)
    with pytest.raises(transfer.CatalogueRefused, match="at most 5"):
        transfer.read(zipped(parts))
    monkeypatch.setattr(transfer, "MAX_FILES", 5000)
    monkeypatch.setattr(transfer, "MAX_TOTAL_MB", 0)
    with pytest.raises(transfer.CatalogueRefused, match="more than 0 MB"):
        transfer.read(zipped(parts))


def test_a_part_that_is_larger_than_the_zip_says_is_refused(catalogue):
    content = zipped({"catalogue.json": b" " * 100_000}, zipfile.ZIP_DEFLATED).getvalue()
    lying = content.replace(struct.pack("<I", 100_000), struct.pack("<I", 10))
    assert lying != content
    with pytest.raises(transfer.CatalogueRefused):
        transfer.read(io.BytesIO(lying))


def test_damaged_repeated_and_encrypted_parts_are_refused(catalogue):
    content = exported()
    for broken in (content[: len(content) // 2], content[:-30], b""):
        with pytest.raises(transfer.CatalogueRefused):
            transfer.read(io.BytesIO(broken))
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("catalogue.json", "{}")
        archive.writestr("catalogue.json", "{}")
    with pytest.raises(transfer.CatalogueRefused, match="twice"):
        transfer.read(twice)
    encrypted = bytearray(zipped({"catalogue.json": b"{}"}).getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(signature) + offset] |= 1
    with pytest.raises(transfer.CatalogueRefused, match="encrypted"):
        transfer.read(io.BytesIO(bytes(encrypted)))
