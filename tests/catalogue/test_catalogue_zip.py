"""The catalogue goes out and comes in again as it was; a zip that is something else changes nothing."""

import io
import json
import resource
import struct
import zipfile

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from PIL import Image

from benchmarks.harness.admin_forms import stored
from benchmarks.harness.hostile_files import bomb
from diffuser_api.catalogue import archive, transfer
from diffuser_api.models import Action, ActionImage, Poi, PoiImage
from diffuser_api.photos.pictures import as_png
from diffuser_api.storage.disk import DurableStorage

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
    assert transfer.read(io.BytesIO(content)) == transfer.Imported(added=2 + 2 + 2 + 4)
    assert rows() == before
    assert stored(own_data_folder) == files
    assert parts_of(exported()) == parts_of(content)


def test_the_same_zip_twice_changes_nothing(catalogue, own_data_folder):
    before, files = rows(), stored(own_data_folder)
    assert transfer.read(io.BytesIO(exported())) == transfer.Imported(same=9)
    assert rows() == before and stored(own_data_folder) == files


def test_an_import_updates_by_name_and_leaves_the_rest(catalogue, own_data_folder):
    content, image = exported(), PoiImage.objects.get(name="noon")
    pk = image.pk
    image.description = "changed meanwhile"
    image.image.save("other.png", ContentFile(as_png(Image.new("RGB", (300, 300), "red"))))
    Poi.objects.create(name="Another")
    before = len(stored(own_data_folder))
    assert transfer.read(io.BytesIO(content)) == transfer.Imported(changed=1, same=8)
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


# --- a backup with a fault ----------------------------------------------------------------------------------


def test_an_export_with_a_missing_file_has_the_rest_and_says_what_is_missing(catalogue, capsys, tmp_path):
    shot, image = ActionImage.objects.get(shot_type="CLS"), PoiImage.objects.get(name="dusk")
    shot.skeleton.storage.delete(shot.skeleton.name)
    PoiImage.objects.filter(pk=image.pk).update(image="")
    call_command("export_catalogue", tmp_path / "catalogue.zip")
    said = capsys.readouterr().err
    assert f"waving, close: its skeleton, {shot.skeleton.name}, is gone" in said and "Piazza: dusk" in said
    parts = parts_of((tmp_path / "catalogue.zip").read_bytes())
    assert len(json.loads(parts["catalogue.json"])["missing"]) == 2
    clear()
    assert transfer.read(zipped(parts)) == transfer.Imported(added=9 - 2)


def test_the_desk_exports_what_is_there_and_shows_what_is_missing(catalogue, admin_client):
    image = PoiImage.objects.get(name="dusk")
    image.image.storage.delete(image.image.name)
    answer = admin_client.get(EXPORT)
    assert answer.status_code == 200
    assert image.image.name not in parts_of(b"".join(answer.streaming_content))
    assert "Piazza: dusk: its picture" in admin_client.get("/admin/diffuser_api/poi/").content.decode()


def test_the_desk_restores_what_is_good_and_shows_what_is_not(catalogue, admin_client):
    parts = parts_of(exported()) | {"pois/dusk.png": b"<svg/>"}
    clear()
    file = ContentFile(zipped(parts).getvalue(), name="catalogue.zip")
    page = admin_client.post(IMPORT, {"file": file}, follow=True).content.decode()
    assert (
        "8 added" in page and "Left out: Piazza, dusk: &#x27;pois/dusk.png&#x27;: The file is no JPEG" in page
    )
    assert PoiImage.objects.get().name == "noon"


def test_a_part_that_is_damaged_in_the_zip_costs_no_other(catalogue):
    content = bytearray(exported())
    name = PoiImage.objects.get(name="dusk").image.name.encode()
    place = content.index(name) + len(name) + 200  # within the picture's bytes, which are stored unpacked
    content[place : place + 20] = bytes(20)
    clear()
    done = transfer.read(io.BytesIO(bytes(content)))
    assert done.added == 8 and "damaged in the zip" in done.left_out[0]


def test_a_catalogue_that_the_desk_took_can_be_restored_after_the_limit_was_lowered(catalogue, settings):
    settings.MAX_UPLOAD_MB = 1
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (1000, 1000, 3), np.uint8))
    PoiImage.objects.get(name="dusk").image.save("dusk.png", ContentFile(as_png(noise)))
    content = exported()
    clear()
    assert transfer.read(io.BytesIO(content)).left_out == []


def test_a_place_of_which_nothing_is_good_is_not_added(catalogue):
    parts = parts_of(exported()) | {f"pois/{name}.png": b"<svg/>" for name in ("noon", "dusk")}
    clear()
    done = transfer.read(zipped(parts))
    assert len(done.left_out) == 2 and not Poi.objects.exists() and done.added == 6


def test_a_full_disk_stops_an_import_between_two_rows(catalogue, monkeypatch, own_data_folder):
    content, save = exported(), DurableStorage._save
    clear()

    def full(self, name, content):
        if "CLS" in name or len(stored(own_data_folder)) == 4:
            raise OSError(28, "No space left on device")
        return save(self, name, content)

    monkeypatch.setattr(DurableStorage, "_save", full)
    done = transfer.read(io.BytesIO(content))
    assert "No space left on device" in done.left_out[-1]
    assert len(stored(own_data_folder)) == PoiImage.objects.count() + 4 * ActionImage.objects.count()


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
    "more files": (lambda: parts_of(exported()) | {"readme.txt": b"hello"}, "no name"),
    "no index": (lambda: {"pois/a.png": b""}, "no catalogue.json"),
    "no JSON": (lambda: {"catalogue.json": b"{"}, "no JSON"),
    "deep JSON": (lambda: {"catalogue.json": b"[" * 200_000}, "no JSON"),
    "another format": (lambda: changed_index(lambda i: i.update(version=2)), "version 1"),
    "a list for a place": (lambda: changed_index(lambda i: i.update(places=[[]])), "'places'"),
}

# Of these the rest is imported: the first image of "Piazza", or what else is named, isn't.
BAD_ITEMS = {
    "the index itself": (
        lambda: changed_index(lambda i: i["places"][0]["images"][0].update(image="catalogue.json")),
        "isn't in the zip",
    ),
    "missing": (
        lambda: changed_index(lambda i: i["places"][0]["images"][0].update(image="pois/none.png")),
        "isn't in the zip",
    ),
    "a number for a name": (lambda: changed_index(lambda i: i["places"][0].update(name=5)), "'name'"),
    "a broken letter": (lambda: changed_index(lambda i: i["places"][0].update(name="\ud800")), "'name'"),
    "a zero": (lambda: changed_index(lambda i: i["places"][0].update(name="a\0b")), "'name'"),
    "a number for an image's name": (
        lambda: changed_index(lambda i: i["places"][0]["images"][0].update(name=5)),
        "'name'",
    ),
    "a long name": (lambda: changed_index(lambda i: i["places"][0].update(name="n" * 101)), "100 characters"),
    "no name": (lambda: changed_index(lambda i: i["places"][0].update(name=" \u200b")), "blank"),
    "another shot": (
        lambda: changed_index(lambda i: i["actions"][1]["shots"][0].update(shot_type="XXS")),
        "shot_type",
    ),
    "no picture": (first_picture(b"<svg onload=alert(1)>"), "no JPEG"),
    "half a picture": (
        first_picture(as_png(Image.effect_noise((256, 256), 50))[:-300]),
        "damaged or cut off",
    ),
    "many pixels": (first_picture(bomb(8_000)), "megapixels"),
    "very many pixels": (first_picture(bomb(50_000)), "megapixels"),
    "masks of another size": (
        lambda: changed_index(
            lambda i: i["actions"][1]["shots"][0].update(face_mask=i["places"][0]["images"][0]["image"])
        ),
        "face_mask",
    ),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_one_bad_item_is_named_and_the_rest_is_imported(name, catalogue, own_data_folder):
    make, word = BAD_ITEMS[name]
    parts = make()
    clear()
    done = transfer.read(zipped(parts))
    [said] = done.left_out
    assert word in said
    assert done.added in (9 - 1, 9 - 3) and not (done.changed or done.same)
    assert len(stored(own_data_folder)) == PoiImage.objects.count() + 4 * ActionImage.objects.count()
    assert Action.objects.filter(name="waving", images__shot_type="FUS").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_and_changes_nothing(name, catalogue, own_data_folder):
    make, word = HOSTILE[name]
    parts = make()
    PoiImage.objects.filter(name="dusk").delete()  # so that there is something to add before it is refused
    before, files = rows(), stored(own_data_folder)
    with pytest.raises(transfer.CatalogueRefused, match=word):
        transfer.read(zipped(parts))
    assert rows() == before and stored(own_data_folder) == files


def test_sizes_and_counts_are_limited_before_anything_is_unpacked(catalogue, monkeypatch):
    parts = parts_of(exported())
    zeros = parts | {"pois/noon.png": b"\0" * 17 * 2**20}  # 17 kB in the zip
    [said] = transfer.read(zipped(zeros, zipfile.ZIP_DEFLATED)).left_out
    assert "'pois/noon.png' is larger than 16 MB" in said
    monkeypatch.setattr(archive, "MAX_FILES", 5)
    with pytest.raises(transfer.CatalogueRefused, match="at most 5"):
        transfer.read(zipped(parts))
    monkeypatch.setattr(archive, "MAX_FILES", 5000)
    monkeypatch.setattr(archive, "MAX_TOTAL_MB", 0)
    with pytest.raises(transfer.CatalogueRefused, match="more than 0 MB"):
        transfer.read(zipped(parts))


def test_a_part_that_is_larger_than_the_zip_says_is_refused(catalogue):
    content = zipped({"catalogue.json": b" " * 100_000}, zipfile.ZIP_DEFLATED).getvalue()
    lying = content.replace(struct.pack("<I", 100_000), struct.pack("<I", 10))
    assert lying != content
    with pytest.raises(transfer.CatalogueRefused):
        transfer.read(io.BytesIO(lying))


def test_a_zip_packed_in_another_way_and_damaged_is_refused(catalogue):
    """Python's decoders raise errors of different kinds."""
    for method, mark in ((zipfile.ZIP_LZMA, b"\x5d\0\0"), (zipfile.ZIP_BZIP2, b"BZh")):
        content = bytearray(zipped(parts_of(exported()), method).getvalue())
        place = content.index(mark, content.index(b"catalogue.json")) + 9
        content[place : place + 12] = b"\xff" * 12
        with pytest.raises(transfer.CatalogueRefused, match="damaged"):
            transfer.read(io.BytesIO(content))


def test_a_name_in_letters_that_are_none_is_refused(catalogue):
    content = bytearray(exported())
    place = content.rindex(b"PK\1\2")  # an entry of the directory: flags at 8, the name at 46
    content[place + 9] |= 8  # "this is UTF-8"
    content[place + 46] = 0xFF
    with pytest.raises(transfer.CatalogueRefused, match="no zip file"):
        transfer.read(io.BytesIO(content))


def test_a_directory_of_very_many_files_is_refused_before_it_is_read(tmp_path):
    """17 MB of it took 160 MB of memory and two seconds."""
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    count = (archive.MAX_DIRECTORY_MB * 2**20) // len(entry) + 1
    end = struct.pack("<HHHHIIH", 0, 0, 65535, 65535, count * len(entry), 0, 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(transfer.CatalogueRefused, match="list of files"):
        transfer.read(io.BytesIO(entry * count + b"PK\5\6" + end))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # kilobytes


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
