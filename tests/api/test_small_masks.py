"""A place in which an action would be too small: the request is refused, not the picture at its last step."""

import pytest
from django.core.exceptions import ValidationError
from PIL import Image

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.catalogue import png_file
from benchmarks.harness.clients import make_lora
from diffuser_api.catalogue import transfer
from diffuser_api.models import ActionImage, Job, Poi, PoiImage

URL = "/api/generate-image/"


def set_mask(field: str, side: int) -> ActionImage:
    """Of waving, far: white in a square in the middle of the frame."""
    shot = ActionImage.objects.get(action__name="waving", shot_type="FUS")
    mask = Image.new("L", Image.open(shot.skeleton.path).size)
    mask.paste(255, (100, 100, 100 + side, 100 + side))
    setattr(shot, field, png_file(mask, field))
    return shot


@pytest.mark.parametrize("field", ["subject_mask", "face_mask"])
def test_a_dot_of_a_mask_is_not_saved(field, catalogue):
    with pytest.raises(ValidationError) as refused:
        set_mask(field, 2).clean()
    assert field in refused.value.message_dict or "face_mask" in refused.value.message_dict


def test_a_face_mask_of_one_pixel_is_not_saved_for_its_size(catalogue):
    with pytest.raises(ValidationError, match="face mask is too small: .* thickest part is 1 wide"):
        set_mask("face_mask", 1).clean()


@pytest.mark.parametrize(("field", "side"), [("subject_mask", 30), ("face_mask", 12)])
def test_an_action_that_is_too_small_in_this_place_is_refused_with_its_reason(field, side, client, catalogue):
    shot = set_mask(field, side)
    shot.save()
    make_lora("12345678")
    wide = png_file(Image.new("RGB", (2000, 500)), "wide")
    PoiImage.objects.create(poi=Poi.objects.get(), name="wide", description="a long wall", image=wide)
    asked = a_request(action_shot_type="FUS", selected_lora="12345678")
    answer = client.post(URL, asked | {"poi_image": "wide"}, "application/json")
    assert answer.status_code == 400
    [reason] = answer.json()["action_shot_type"]
    assert field.replace("_", " ") in reason and "Choose another shot type, or another place" in reason
    assert not Job.objects.exists()
    assert client.post(URL, asked, "application/json").status_code == 202


def test_an_import_refuses_a_face_mask_that_vanishes_once_it_is_painted(catalogue, tmp_path):
    set_mask("face_mask", 1).save()
    with (tmp_path / "catalogue.zip").open("w+b") as file:
        transfer.write(file)
        ActionImage.objects.all().delete()
        [said] = transfer.read(file).left_out
    assert "face mask is too small" in said
