"""The desk's pages without a browser: one upload is enough, who may do what, nothing comes back as HTML."""

import io
import json
from datetime import timedelta

import numpy as np
import pytest
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image

from benchmarks.harness.admin_forms import management, stored
from benchmarks.harness.catalogue import _drawn, png_file
from benchmarks.harness.clients import make_order
from benchmarks.harness.hostile_files import bomb
from diffuser_api.catalogue import proposals
from diffuser_api.jobs import orders
from diffuser_api.jobs.folders import generation_folder
from diffuser_api.models import Action, ActionImage, Job, Poi, PoiImage
from diffuser_api.photos.pictures import as_png
from generation.job_folder import picture_path
from generation.miniature.world import scenes
from generation.miniature.world.pen import View
from generation.poses import openpose

DESK = "/admin/diffuser_api"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def figure(seed: int = 0, pixels: int = 512) -> Image.Image:
    return scenes.draw_scene(scenes.random_scene(scenes.HELD_OUT + seed, shot="MES"), View(pixels=pixels))


def one_shot(picture: Image.Image, **more) -> dict:
    body = management() | {"name": "bowing", "description": "bowing deeply", "images-0-shot_type": "MES"}
    for k, shot in ((1, "CLS"), (2, "FUS")):
        body[f"images-{k}-shot_type"] = shot
    return body | {"images-0-image": png_file(picture, "someone")} | more


def add(client, body, **headers):
    return client.post(f"{DESK}/action/add/", body, headers=headers)


def added(client, body) -> None:
    answer = add(client, body, **{"X-Desk": "1"})
    assert "location" in answer.json(), answer.json()


def as_array(field) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(field.read())).convert("L"))


# --- one upload ---------------------------------------------------------------------------------------------


@pytest.mark.slow  # a picture becomes joints in a process of its own
def test_a_picture_alone_makes_a_shot(admin_client):
    added(admin_client, one_shot(figure()))
    shot = ActionImage.objects.get()
    known = np.asarray(scenes.silhouette(scenes.random_scene(scenes.HELD_OUT, shot="MES"), View(pixels=512)))
    subject, face = as_array(shot.subject_mask) > 127, as_array(shot.face_mask) > 127
    assert (subject & (known > 127)).sum() > 0.97 * (known > 127).sum()
    assert 0 < (face & subject).sum() == face.sum()
    assert shot.kind == "photo" and openpose.read(Image.open(shot.skeleton)) is not None


@pytest.mark.slow  # a picture becomes joints in a process of its own
def test_a_skeleton_alone_makes_a_shot(admin_client):
    drawn = scenes.skeleton(scenes.random_scene(scenes.HELD_OUT, shot="MES"))
    added(admin_client, one_shot(drawn))
    shot = ActionImage.objects.get()
    assert shot.kind == "skeleton" and as_array(shot.subject_mask).any() and as_array(shot.face_mask).any()


@pytest.mark.slow  # a picture becomes joints in a process of its own
def test_a_picture_without_a_person_is_refused_with_what_to_do(admin_client):
    answer = add(admin_client, one_shot(_drawn()["place"]))
    assert answer.status_code == 200 and "No person was found" in answer.content.decode()
    assert not Action.objects.exists()


def test_joints_that_were_placed_by_hand_make_the_skeleton(admin_client):
    scene = scenes.random_scene(scenes.HELD_OUT + 4, shot="MES")
    joints = [[round(x), round(y)] for x, y in scene.pose.joints]
    joints[openpose.L_WRIST] = None
    subject, face = proposals.masks_of(joints, (256, 256))
    body = one_shot(_drawn()["place"], **{"images-0-joints": json.dumps(joints), "images-0-kind": "photo"})
    body |= {"images-0-subject_mask": ContentFile(subject, "s.png")}
    body |= {"images-0-face_mask": ContentFile(face, "f.png")}
    added(admin_client, body)
    read = openpose.read(Image.open(ActionImage.objects.get().skeleton))
    assert read[openpose.L_WRIST] is None
    assert abs(read[openpose.NECK][0] - joints[openpose.NECK][0]) < 3


@pytest.mark.slow  # a picture becomes joints in a process of its own
def test_hostile_joints_and_masks_are_refused_and_leave_no_file(admin_client, own_data_folder):
    joints = json.dumps(scenes.random_scene(scenes.HELD_OUT).pose.visible())
    white = as_png(Image.new("L", (256, 256), 255))
    for hostile in (b"GIF89a<script>", bomb(8_000)):
        body = one_shot(figure(), **{"images-0-joints": joints})
        for mask in ("subject_mask", "face_mask"):
            body[f"images-0-{mask}"] = ContentFile(white, "m.png")
        body["images-0-image"] = ContentFile(hostile, "a.png")
        assert "images-0-image" in add(admin_client, body, **{"X-Desk": "1"}).json()["errors"]
        body = one_shot(figure()) | {"images-0-subject_mask": ContentFile(hostile, "a.png")}
        assert "images-0-subject_mask" in add(admin_client, body, **{"X-Desk": "1"}).json()["errors"]
    assert not stored(own_data_folder)


@pytest.mark.parametrize(
    "joints", ["[", "[1]", "{}", "[[1, 2]]", json.dumps([["x", 1]] + [None] * 17), "[" * 9999]
)
def test_malformed_joints_are_refused(joints, admin_client):
    answer = add(admin_client, one_shot(figure(), **{"images-0-joints": joints}))
    assert answer.status_code == 200 and not Action.objects.exists()


def test_a_phones_picture_of_a_place_is_upright(admin_client):
    picture = Image.linear_gradient("L").resize((400, 300)).convert("RGB")  # dark above
    exif = picture.getexif()
    exif[0x0112] = 3  # upside down
    exif[0x010F] = "a camera"
    picture.save(content := io.BytesIO(), "JPEG", exif=exif)
    body = management(TOTAL_FORMS="1", MAX_NUM_FORMS="1000") | {"name": "Lago", "images-0-name": "view"}
    body |= {"images-0-description": "a lake", "images-0-image": ContentFile(content.getvalue(), "a.jpg")}
    assert admin_client.post(f"{DESK}/poi/add/", body).status_code == 302
    kept = PoiImage.objects.get().image.read()
    shown = np.asarray(Image.open(io.BytesIO(kept)).convert("L"))
    assert shown[0].mean() > shown[-1].mean() and b"a camera" not in kept


def test_a_file_that_is_no_picture_is_refused_with_the_reason(admin_client, own_data_folder):
    body = management(TOTAL_FORMS="1", MAX_NUM_FORMS="1000") | {"name": "Lago", "images-0-name": "view"}
    body |= {"images-0-description": "a lake", "images-0-image": ContentFile(b"<svg/>", f"{MARKUP}.jpg")}
    page = admin_client.post(f"{DESK}/poi/add/", body).content.decode()
    assert "no JPEG, PNG, WebP or HEIC" in page and MARKUP not in page
    assert not stored(own_data_folder)


# --- what the pages' scripts ask for ------------------------------------------------------------------------


@pytest.mark.slow  # a picture becomes joints in a process of its own
def test_a_proposal_for_a_picture_has_joints_and_masks(admin_client):
    answer = admin_client.post(f"{DESK}/action/propose/", {"picture": png_file(figure(), "a")})
    said = answer.json()
    assert answer.status_code == 200 and said["size"] == [512, 512] and said["shot_type"] == "MES"
    assert sum(seen for _, _, seen in said["joints"]) > 14
    assert said["subject_mask"].startswith("data:image/png;base64,")


@pytest.mark.slow  # a picture becomes joints in a process of its own
def test_a_proposal_of_a_place_has_joints_to_drag(admin_client):
    said = admin_client.post(f"{DESK}/action/propose/", {"picture": png_file(_drawn()["place"], "a")}).json()
    assert len(said["joints"]) == 18 and not any(seen for _, _, seen in said["joints"])
    assert all(0 < x < 256 and 0 < y < 256 for x, y, _ in said["joints"])
    assert said["subject_mask"] is None


@pytest.mark.slow  # a picture becomes joints in a process of its own
def test_a_large_picture_is_made_smaller(admin_client):
    large = figure(pixels=512).resize((3000, 3000))
    said = admin_client.post(f"{DESK}/action/propose/", {"picture": png_file(large, "a")}).json()
    assert said["size"] == [1024, 1024]


def test_a_proposal_for_a_file_that_is_no_picture_is_refused(admin_client):
    for body in ({}, {"picture": ContentFile(b"GIF89a", "a.gif")}, {"picture": ContentFile(b"", "a.png")}):
        answer = admin_client.post(f"{DESK}/action/propose/", body)
        assert answer.status_code == 400 and answer.json()["message"]


def test_moved_joints_get_new_masks(admin_client):
    joints = json.dumps(scenes.random_scene(scenes.HELD_OUT).pose.visible())
    body = {"joints": joints, "width": 256, "height": 256}
    assert set(admin_client.post(f"{DESK}/action/masks/", body).json()) == {"subject_mask", "face_mask"}
    for wrong in ({"joints": "[]"}, {"width": "100000"}, {"height": "x"}):
        assert admin_client.post(f"{DESK}/action/masks/", body | wrong).status_code == 400


def test_a_stored_shot_can_be_corrected(admin_client, catalogue):
    shot = ActionImage.objects.filter(shot_type="MES").first()
    said = admin_client.get(f"{DESK}/action/shots/{shot.pk}/").json()
    assert sum(seen for _, _, seen in said["joints"]) >= 16 and said["subject_mask"]
    shot.skeleton.storage.delete(shot.skeleton.name)
    assert "upload" in admin_client.get(f"{DESK}/action/shots/{shot.pk}/").json()["message"]


@pytest.mark.slow  # a picture becomes joints in a process of its own
def test_errors_come_as_json_to_the_script(admin_client):
    body = one_shot(_drawn()["place"]) | {"name": ""}
    answer = add(admin_client, body, **{"X-Desk": "1"})
    assert answer.status_code == 400
    assert answer.json()["errors"]["name"] == ["This field is required."]
    assert "No person" in answer.json()["errors"]["images-0-image"][0]
    answer = add(admin_client, one_shot(figure()), **{"X-Desk": "1"})
    assert answer.json()["location"].startswith(f"{DESK}/action/")


# --- trying, jobs -------------------------------------------------------------------------------------------


def test_the_preview_shows_place_mask_and_pose(admin_client, catalogue):
    place, shot = PoiImage.objects.first(), ActionImage.objects.filter(shot_type="MES").first()
    answer = admin_client.get(f"{DESK}/action/try.png", {"place": place.pk, "shot": shot.pk})
    shown = np.asarray(Image.open(io.BytesIO(answer.content)), int)
    bare = np.asarray(Image.open(place.image).convert("RGB"), int)
    assert shown.shape == (256, 256, 3)
    changed = np.abs(shown - bare).max(2) > 4
    mask = as_array(shot.subject_mask) > 127
    assert changed[mask].mean() > 0.95 and changed[~mask].mean() < 0.02
    assert admin_client.get(f"{DESK}/action/try.png", {"place": "0"}).status_code == 404


def test_a_trial_makes_one_job_with_its_values(admin_client, catalogue):
    place, shot = PoiImage.objects.first(), ActionImage.objects.filter(shot_type="MES").first()
    body = {
        "place": place.pk,
        "shot": shot.pk,
        "age": "old",
        "gender": "man",
        "wearing": "a hat",
        "seed": "5",
    }
    page = admin_client.post(f"{DESK}/action/try/", body | {"paint": "1"}, follow=True).content.decode()
    job = Job.objects.get()
    assert (job.poi_image, job.action_image, job.seed, job.visitor) == (place, shot, 5, "desk")
    assert job.parameters["other_details"] == "a hat" and job.code in page and "Cancel it" in page
    admin_client.post(f"{DESK}/action/try/", body | {"show": "1"})
    admin_client.post(f"{DESK}/action/try/", body | {"paint": "1", "age": "ancient"})
    assert Job.objects.count() == 1


def test_trying_without_a_catalogue_says_what_is_missing(admin_client):
    page = admin_client.get(f"{DESK}/action/try/").content.decode()
    assert "no place" in page and "no action" in page


@pytest.fixture
def job(catalogue) -> Job:
    return orders.create_job(make_order(age="old", other_details=MARKUP, seed=7))


def test_a_jobs_page_shows_its_chart_and_pictures(admin_client, job):
    now = timezone.now()
    timing = {"import_seconds": 1.0, "load_seconds": 0.5, "inference_seconds": 2.5}
    steps = [{"step": "pose", **timing}, {"step": MARKUP, **timing}]
    changed = {"status": "running", "started_at": now, "timings": steps, "step": "detail", "progress": 0.3}
    Job.objects.update(**changed)
    folder = generation_folder(job.code)
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(picture_path(folder, 1))
    page = admin_client.get(f"{DESK}/job/{job.pk}/change/").content.decode()
    assert "<svg" in page and "8.0 s in all" in page and 'value="30"' in page and MARKUP not in page
    assert f"{DESK}/job/{job.pk}/steps/1.png" in page and "steps/2.png" not in page
    picture = admin_client.get(f"{DESK}/job/{job.pk}/steps/1.png")
    assert Image.open(io.BytesIO(b"".join(picture.streaming_content))).getpixel((0, 0)) == (255, 0, 0)
    for gone in (2, 9):
        assert admin_client.get(f"{DESK}/job/{job.pk}/steps/{gone}.png").status_code == 404


def test_a_job_is_cancelled_and_run_again_on_its_page(admin_client, job):
    assert admin_client.get(f"{DESK}/job/{job.pk}/cancel/").status_code == 405
    admin_client.post(f"{DESK}/job/{job.pk}/cancel/")
    job.refresh_from_db()
    assert job.status == "cancelled"
    page = admin_client.post(f"{DESK}/job/{job.pk}/cancel/", follow=True).content.decode()
    assert "had finished already" in page
    admin_client.post(f"{DESK}/job/{job.pk}/again/")
    again = Job.objects.exclude(pk=job.pk).get()
    assert (again.seed, again.parameters, again.poi_image) == (7, job.parameters, job.poi_image)
    Poi.objects.all().delete()
    page = admin_client.post(f"{DESK}/job/{job.pk}/again/", follow=True).content.decode()
    assert "be run again" in page and Job.objects.count() == 2


def test_a_full_disk_refuses_another_run_and_a_trial(admin_client, job, settings):
    settings.MIN_FREE_MB = 2**40
    trial = {"place": job.poi_image.pk, "shot": job.action_image.pk, "paint": "1"}
    for url, body in ((f"{DESK}/job/{job.pk}/again/", {}), (f"{DESK}/action/try/", trial)):
        page = admin_client.post(url, body, follow=True)
        assert page.status_code == 200 and "has to make room" in page.content.decode()
    assert Job.objects.count() == 1


def test_jobs_are_cancelled_and_run_again_in_the_list(admin_client, job):
    training = Job.objects.create(code="00000001", kind="training", status="failed", error_code="no_faces")
    body = {"_selected_action": [job.pk, training.pk]}
    admin_client.post(f"{DESK}/job/", body | {"action": "cancel_selected"})
    job.refresh_from_db()
    assert job.status == "cancelled"
    page = admin_client.post(f"{DESK}/job/", body | {"action": "run_selected_again"}, follow=True)
    assert Job.objects.filter(kind="generation").count() == 2
    assert "photos are deleted" in page.content.decode()


def test_the_list_of_jobs_is_filtered(admin_client, job):
    other = ActionImage.objects.get(action__name="sitting")
    failed = {"kind": "training", "status": "failed", "error_code": "no_faces"}
    Job.objects.create(code="00000001", action_image=other, **failed)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(days=40))
    for query, count in (
        ("kind=training", 1),
        ("status__exact=failed&kind__exact=generation", 0),
        ("error_code=no_faces", 1),
        (f"action_image__action__id__exact={job.action_image.action_id}", 1),
        ("q=waving", 1),
        ("", 2),
    ):
        page = admin_client.get(f"{DESK}/job/?{query}")
        assert page.context["cl"].result_count == count, query


def test_deleting_a_webhook_leaves_its_job(admin_client, job):
    webhook = job.webhooks.create(event="job.queued", host="h", body="{}", next_try_at=timezone.now())
    admin_client.post(f"{DESK}/webhook/{webhook.pk}/delete/", {"post": "yes"})
    assert not job.webhooks.exists() and Job.objects.filter(pk=job.pk).exists()


# --- who may, and what comes back ---------------------------------------------------------------------------

PAGES = ("action/propose/", "action/masks/", "action/shots/{shot}/", "action/try/", "action/try.png",
         "job/{job}/panel/", "job/{job}/steps/1.png", "job/{job}/cancel/", "job/{job}/again/")  # fmt: skip


def test_the_pages_are_closed_to_staff_without_the_permission(client, job, django_user_model):
    shot = ActionImage.objects.first()
    urls = [f"{DESK}/{page.format(shot=shot.pk, job=job.pk)}" for page in PAGES]
    for url in urls:
        for answer in (client.get(url), client.post(url)):
            assert answer.status_code == 302 and "/admin/login/" in answer["Location"]
    staff = django_user_model.objects.create_user("staff", is_staff=True)
    client.force_login(staff)
    for url in urls:
        assert {client.get(url).status_code, client.post(url).status_code} <= {403, 405}, url
    staff.user_permissions.add(Permission.objects.get(codename="view_job"))
    page = client.get(f"{DESK}/job/{job.pk}/change/").content.decode()
    assert job.code in page and "Cancel it" not in page
    assert client.post(f"{DESK}/job/{job.pk}/cancel/").status_code == 403


def test_markup_in_names_comes_back_as_text(admin_client, job):
    Poi.objects.update(name=MARKUP)
    PoiImage.objects.filter(name="noon").update(name=MARKUP, description=MARKUP)
    action = job.action_image.action
    Action.objects.filter(pk=action.pk).update(name=MARKUP, description=MARKUP)
    Job.objects.update(error_message=MARKUP, error_code="<b>", step=MARKUP, visitor=MARKUP)
    place = Poi.objects.get()
    pages = [
        "poi/",
        "action/",
        "job/",
        f"poi/{place.pk}/change/",
        f"action/{action.pk}/change/",
        "action/try/",
    ]
    pages += [f"job/{job.pk}/change/", f"job/{job.pk}/panel/", f"action/try/?wearing={MARKUP}&job={job.code}"]
    for page in pages:
        content = admin_client.get(f"{DESK}/{page}").content.decode()
        assert "<img src=x" not in content and "<script>alert" not in content, page
        assert "onerror" in content, page


def test_an_address_of_nothing_leads_back_to_the_index(admin_client):
    for model in ("action", "poi", "job", "loramodel", "postcardlayout", "client"):
        answer = admin_client.get(f"/admin/diffuser_api/{model}/try/widgets.css/change/")
        assert answer.status_code == 302 and answer["Location"] == "/admin/", model
