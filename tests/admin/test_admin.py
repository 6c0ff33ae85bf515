"""The editors' pages: one page for a place, one for an action, and no file that outlives its row."""

import pytest
from django.db import transaction
from PIL import Image

from benchmarks.harness.admin_forms import management, stored
from benchmarks.harness.catalogue import _drawn, png_file
from diffuser_api.models import Action, ActionImage, Poi, PoiImage
from diffuser_api.photos.pictures import as_png


def test_a_place_with_its_images_on_one_page(admin_client):
    body = management(TOTAL_FORMS="2", MAX_NUM_FORMS="1000") | {"name": "Lago"}
    for k in range(2):
        body |= {f"images-{k}-name": f"view {k}", f"images-{k}-description": "a lake"}
        body[f"images-{k}-image"] = png_file(_drawn()["place"], f"lake{k}")
    assert admin_client.post("/admin/diffuser_api/poi/add/", body).status_code == 302
    assert Poi.objects.get().images.count() == 2
    page = admin_client.get(f"/admin/diffuser_api/poi/{Poi.objects.get().pk}/change/").content.decode()
    assert page.count("/data/thumbnails/pois/") == 2


def action_body(**files) -> dict:
    body = management() | {"name": "bowing", "description": "bowing deeply"}
    for k, shot_type in enumerate(("CLS", "MES", "FUS")):
        shot = _drawn()["shots"][shot_type]
        body |= {f"images-{k}-shot_type": shot_type, f"images-{k}-kind": "skeleton"}
        body[f"images-{k}-image"] = png_file(shot.skeleton, "image")
        body[f"images-{k}-subject_mask"] = png_file(shot.subject_mask, "subject")
        body[f"images-{k}-face_mask"] = png_file(shot.face_mask, "face")
    return body | files


@pytest.mark.slow
def test_an_action_with_its_three_shots_on_one_page(admin_client):
    answer = admin_client.post("/admin/diffuser_api/action/add/", action_body())
    assert answer.status_code == 302, answer.content.decode()
    action = Action.objects.get()
    assert sorted(action.images.values_list("shot_type", flat=True)) == ["CLS", "FUS", "MES"]
    for image in action.images.all():
        assert image.skeleton.read() == as_png(_drawn()["shots"][image.shot_type].skeleton)
    page = admin_client.get(f"/admin/diffuser_api/action/{action.pk}/change/").content.decode()
    assert page.count("/data/thumbnails/actions/") == 9


def box(*corners: int) -> Image.Image:
    """A mask of 256 x 256 that is white between the corners."""
    mask = Image.new("L", (256, 256))
    mask.paste(255, corners)
    return mask


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "mask", "word"),
    [
        ("subject_mask", Image.new("L", (100, 100), 255), "100 x 100"),
        ("subject_mask", Image.new("L", (256, 256), 0), "empty"),
        ("face_mask", box(60, 20, 196, 130), "leaves the subject mask"),
    ],
)
def test_a_wrong_mask_is_refused_with_the_reason(field, mask, word, admin_client):
    body = action_body(**{f"images-0-{field}": png_file(mask, "mask")})
    answer = admin_client.post("/admin/diffuser_api/action/add/", body)
    assert answer.status_code == 200 and word in answer.content.decode()
    assert not Action.objects.exists()


def test_deleting_and_cascades_remove_the_files(catalogue, own_data_folder):
    Poi.objects.all().delete()
    Action.objects.all().delete()
    assert not stored(own_data_folder)


def test_the_admins_bulk_delete_removes_the_files(catalogue, own_data_folder, admin_client):
    for model in (Poi, Action):
        body = {"action": "delete_selected", "post": "yes"}
        body["_selected_action"] = list(model.objects.values_list("pk", flat=True))
        name = model._meta.model_name
        assert admin_client.post(f"/admin/diffuser_api/{name}/", body).status_code == 302
    assert not PoiImage.objects.exists() and not ActionImage.objects.exists()
    assert not stored(own_data_folder)


def test_replacing_a_file_removes_the_old_one(catalogue, own_data_folder):
    image = PoiImage.objects.first()
    old, before = image.image.name, len(stored(own_data_folder))
    image.image = png_file(_drawn()["place"].rotate(180), "other")
    image.save()
    assert old not in stored(own_data_folder) and len(stored(own_data_folder)) == before


def test_a_rolled_back_delete_keeps_the_files(catalogue, own_data_folder):
    before = stored(own_data_folder)
    with pytest.raises(RuntimeError), transaction.atomic():
        Poi.objects.all().delete()
        raise RuntimeError
    assert stored(own_data_folder) == before and Poi.objects.exists()
