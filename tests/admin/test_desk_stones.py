"""What editors stumbled on at the desk, without a browser."""

import html
import io
import re

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image

from benchmarks.harness.admin_forms import management
from benchmarks.harness.clients import make_job, make_lora, make_order
from diffuser_api.admin import job_panel
from diffuser_api.catalogue import mask_rules, transfer
from diffuser_api.jobs import orders, status_changes
from diffuser_api.models import Action, Job, LoraModel, Poi, PoiImage, PostcardLayout, Webhook
from diffuser_api.photos.pictures import as_png
from generation.marking import source_type
from tests.studio.test_studio_visitors import finish


def test_shots_run_from_near_to_far_everywhere(client, catalogue):
    near_to_far = ["CLS", "MES", "FUS"]
    waving = Action.objects.get(name="waving")
    assert [shot.shot_type for shot in waving.images.all()] == near_to_far
    [told] = [action for action in client.get("/api/actions/").json() if action["name"] == "waving"]
    assert [shot["shot_type"] for shot in told["shots"]] == near_to_far


def test_an_empty_mask_is_named(catalogue):
    shot, files = Action.objects.get(name="waving").images.first(), []
    for field in ("image", "skeleton", "subject_mask", "face_mask"):
        with getattr(shot, field).open("rb") as file, Image.open(file) as picture:
            empty = Image.new("L", picture.size) if field.endswith("mask") else picture.copy()
        files.append(ContentFile(as_png(empty)))
    found = mask_rules.problems(*files)
    assert found["face_mask"].startswith("The face mask is empty")
    assert found["subject_mask"].startswith("The subject mask is empty")


def test_a_places_pictures_are_offered_in_the_editors_order_everywhere(admin_client, client, catalogue):
    place = Poi.objects.create(name="Lago")
    content = PoiImage.objects.first().image.read()
    for name in "abc":
        place.images.create(name=name, description=name, image=ContentFile(content, f"{name}.png"))
    body = management(TOTAL_FORMS=3, INITIAL_FORMS=3) | {"name": "Lago"}
    for number, (image, position) in enumerate(zip(place.images.all(), (2, "", 1), strict=True)):
        row = {"id": image.pk, "poi": place.pk, "name": image.name, "description": "x", "position": position}
        body |= {f"images-{number}-{name}": value for name, value in row.items()}
    assert admin_client.post(f"/admin/diffuser_api/poi/{place.pk}/change/", body).status_code == 302
    [told] = [place for place in client.get("/api/pois/").json() if place["name"] == "Lago"]
    assert [image["name"] for image in told["images"]] == ["b", "c", "a"]
    page = client.get("/postcard/").content.decode()
    offered = re.findall(r'name="place" value="(\d+)"', page)
    assert [name for pk in offered for name in place.images.filter(pk=pk).values_list("name", flat=True)] == [
        "b",
        "c",
        "a",
    ]
    with io.BytesIO() as archive:
        transfer.write(archive)
        place.images.update(position=0)
        transfer.read(archive)
    assert [image.name for image in place.images.all()] == ["b", "c", "a"]


def test_jobs_and_loras_are_listed_with_a_small_picture(admin_client, client, catalogue, tmp_path):
    lora = make_lora("30000001")
    job = finish(orders.create_job(make_order(lora=lora)), tmp_path)
    url = f"/admin/diffuser_api/job/{job.pk}/small.jpg"
    for model in ("job", "loramodel"):
        assert f'<img src="{url}"' in admin_client.get(f"/admin/diffuser_api/{model}/").content.decode()
    content = admin_client.get(url).content
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "JPEG" and max(picture.size) <= 128
    assert source_type.SOURCE_TYPE.encode() in content
    assert b"c2pa" not in content  # a list of a hundred isn't signed
    assert client.get(url).status_code == 302  # to the log-in


def test_an_action_is_tried_with_a_face_by_those_who_may_see_loras(admin_client, client, catalogue):
    lora, page = make_lora("30000001"), "/admin/diffuser_api/action/try/"
    body = {"place": PoiImage.objects.first().pk, "shot": Action.objects.first().images.first().pk}
    body |= {"age": "old", "gender": "man", "paint": "1"}
    answer = admin_client.post(page, body | {"face": lora.code}, follow=True)
    assert Job.objects.get().lora == lora and f'value="{lora.code}"' in answer.content.decode()
    answer = admin_client.post(page, body | {"face": "99999999"})
    assert "There is no LoRA with this code." in answer.content.decode() and Job.objects.count() == 1
    editor = get_user_model().objects.create_user("editor", is_staff=True)
    names = ["view_action", "view_poi", "add_job"]
    editor.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(editor)
    client.post(page, body | {"face": lora.code})
    assert Job.objects.count() == 2 and Job.objects.latest("pk").lora is None
    assert 'name="face"' not in client.get(page).content.decode()


def test_the_desk_speaks_of_places_and_of_no_step_after_the_end(admin_client, catalogue):
    job = make_job()
    other = Poi.objects.create(name="Lago").images.create(name="noon", image=PoiImage.objects.first().image)
    orders.create_job(make_order(poi_image=other))
    jobs = admin_client.get("/admin/diffuser_api/job/").content.decode()
    assert "By place" in jobs and "By poi" not in jobs
    status_changes.claim(job.code)
    Job.objects.filter(pk=job.pk).update(step="harmonize")
    page, step = f"/admin/diffuser_api/job/{job.pk}/change/", str(job_panel.STEP_NAMES["harmonize"])
    assert step in admin_client.get(page).content.decode()
    status_changes.cancel(job.code)
    assert step not in admin_client.get(page).content.decode()


def test_stored_values_are_rows_and_no_json(admin_client, catalogue):
    job, lora = make_job(), make_lora("30000001")
    told = {"step": "face", "inference_seconds": 2.5, "likeness": {"face": True, "distance": 0.4321}}
    asked = job.parameters | {"other_details": "<b>a red coat</b>"}
    Job.objects.filter(pk=job.pk).update(timings=[told], parameters=asked)
    LoraModel.objects.filter(pk=lora.pk).update(looks={"hair": "grey", "glasses": "round"})
    body = '{"type": "job.succeeded", "data": {"code": "1"}}'
    sent = Webhook.objects.create(job=job, host="example.org", body=body, next_try_at=timezone.now())
    pages = [f"job/{job.pk}", f"loramodel/{lora.pk}", f"webhook/{sent.pk}"]
    pages = [admin_client.get(f"/admin/diffuser_api/{page}/change/").content.decode() for page in pages]
    rows = ["<th>seconds to paint</th><td>2.5</td>", "<th>distance to the photos</th><td>0.432</td>"]
    rows += ["<th>face found</th><td>yes</td>", "<td>&lt;b&gt;a red coat&lt;/b&gt;</td>"]
    assert [row for row in rows if row not in pages[0]] == []
    assert "<th>hair</th><td>grey</td>" in pages[1] and "<td>round</td>" in pages[1]
    assert '<pre class="desk-message" lang="en">{\n' in html.unescape(pages[2])
    raw = re.compile(r"\{&(quot|#x27);\w+&(quot|#x27);: ")
    assert [raw.findall(page) for page in pages] == [[], [], []]


def test_groups_are_at_the_desk_once_there_is_one(admin_client, admin_user):
    index, link = "/admin/", 'href="/admin/auth/group/"'
    assert link not in admin_client.get(index).content.decode()
    page = admin_client.get(f"/admin/auth/user/{admin_user.pk}/change/").content.decode()
    assert "/admin/auth/group/add/" in page
    Group.objects.create(name="editors")
    assert link in admin_client.get(index).content.decode()


def test_the_desk_shows_no_tables_of_libraries(admin_client):
    """Such as the results of a task queue: editors can't do anything with them."""
    assert {model._meta.app_label for model in admin.site._registry} == {"diffuser_api", "auth"}
    index = admin_client.get("/admin/").content.decode()
    assert re.findall(r'class="app-(\w+) ', index) == ["auth", "diffuser_api"]


FILE_FIELDS = {"poi/add/": 2, "action/add/": 9, "postcardlayout/add/": 2, "poi/import/": 1}


def test_file_fields_say_in_the_pages_language_what_browsers_say_in_their_own(admin_client):
    said = r'<span class="desk-file-face" aria-hidden="true"><span class="button">Scegli un file</span> '
    field = r'<input type="file"(?![^>]* hidden)[^>]*>'
    for path, count in FILE_FIELDS.items():
        page = admin_client.get(f"/admin/diffuser_api/{path}", headers={"Accept-Language": "it"})
        page = page.content.decode()
        assert len(re.findall(field, page)) == len(re.findall(field + said, page)) == count, path
        assert "desk/file_fields.js" in page and "desk/desk.css" in page, path


def test_a_layouts_logo_and_font_are_named_and_can_be_removed(admin_client):
    layout = PostcardLayout.objects.create(name="ours")
    layout.logo.save("arms.png", ContentFile(as_png(Image.new("RGB", (20, 10), "red"))))
    path = f"/admin/diffuser_api/postcardlayout/{layout.pk}/change/"
    page = admin_client.get(path).content.decode()
    assert "postcards/arms" in page and 'name="logo-clear"' in page and 'name="font-clear"' not in page
    form = {"name": "ours", "style": "framed", "logo_corner": "top-left", "position": 0, "logo-clear": "on"}
    assert admin_client.post(path, form).status_code == 302
    layout.refresh_from_db()
    assert not layout.logo
