"""A face mask of the face alone, as older catalogues hold it, is told of and proposed anew."""

import io

import pytest
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from PIL import Image, ImageChops, ImageDraw

from benchmarks.harness.catalogue import png_file
from diffuser_api.catalogue import head_masks
from diffuser_api.models import Action, ActionImage
from diffuser_api.photos.pictures import as_png
from generation.poses import mask_drawing, openpose

DESK = "/admin/diffuser_api"


@pytest.fixture
def old(catalogue) -> ActionImage:
    """A shot whose face mask is the ellipse that was proposed before."""
    shot = ActionImage.objects.get(action__name="sitting")
    with Image.open(shot.skeleton) as skeleton:
        (x, y), half, _ = mask_drawing.head_of(openpose.read(skeleton))
        mask = Image.new("L", skeleton.size)
    y -= 0.12 * half
    ImageDraw.Draw(mask).ellipse((x - 1.1 * half, y - 1.35 * half, x + 1.1 * half, y + 1.35 * half), fill=255)
    shot.face_mask.save("old.png", png_file(mask, "old"))
    return ActionImage.objects.get(pk=shot.pk)


def mask_of(shot: ActionImage, field: str) -> Image.Image:
    return Image.open(io.BytesIO(getattr(shot, field).read()))


def page_of(client, shot: ActionImage) -> str:
    return client.get(f"{DESK}/action/{shot.action_id}/change/").content.decode()


def test_a_face_mask_without_hair_is_told_of_and_one_click_mends_it(admin_client, old):
    before = mask_of(old, "face_mask")
    assert page_of(admin_client, old).count("This face mask leaves out hair") == 1
    answer = admin_client.post(f"{DESK}/action/shots/{old.pk}/head/", follow=True)
    assert "now holds the head" in answer.content.decode()
    assert "This face mask leaves out hair" not in page_of(admin_client, old)
    old.refresh_from_db()
    face, subject = (mask_of(old, field) for field in ("face_mask", "subject_mask"))
    assert ImageChops.subtract(before, face).getbbox() is None
    assert ImageChops.subtract(face, subject).getbbox() is None
    old.clean()


@pytest.mark.slow  # proposes all masks
def test_all_actions_are_mended_together_and_the_check_names_them(admin_client, old):
    def names() -> str:
        found = run_checks(include_deployment_checks=True)
        return " ".join(message.msg for message in found if message.id == "cartolina.W006")

    assert "sitting, medium" in names() and "waving" not in names()
    chosen = {"action": "propose_head_masks", "_selected_action": [one.pk for one in Action.objects.all()]}
    answer = admin_client.post(f"{DESK}/action/", chosen, follow=True)
    assert "Face masks that now hold the head with its hair: 1" in answer.content.decode()
    assert names() == ""


def test_a_shot_whose_files_are_gone_is_not_judged(admin_client, old):
    old.skeleton.storage.delete(old.skeleton.name)
    assert not head_masks.leaves_out_hair(old)
    assert (
        "gone or broken"
        in admin_client.post(f"{DESK}/action/shots/{old.pk}/head/", follow=True).content.decode()
    )


def test_a_skeleton_without_a_head_asks_for_no_hair(old):
    old.skeleton.save("none.png", ContentFile(as_png(Image.new("RGB", (256, 256)))))
    assert not head_masks.leaves_out_hair(old)
    assert not head_masks.propose_anew(old)


def test_only_who_may_change_actions_may_have_masks_proposed(client, old):
    assert client.post(f"{DESK}/action/shots/{old.pk}/head/").status_code == 302
    old.refresh_from_db()
    assert head_masks.leaves_out_hair(old)
