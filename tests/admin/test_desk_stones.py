"""What editors stumbled on at the desk, without a browser."""

from django.core.files.base import ContentFile
from PIL import Image

from benchmarks.harness.clients import make_job, make_order
from diffuser_api.catalogue import mask_rules
from diffuser_api.jobs import orders, status_changes
from diffuser_api.models import Action, Poi, PoiImage
from diffuser_api.photos.pictures import as_png


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


def test_the_desk_speaks_of_places_and_of_no_step_after_the_end(admin_client, catalogue):
    job = make_job()
    other = Poi.objects.create(name="Lago").images.create(name="noon", image=PoiImage.objects.first().image)
    orders.create_job(make_order(poi_image=other))
    status_changes.cancel(job.code)
    jobs = admin_client.get("/admin/diffuser_api/job/").content.decode()
    assert "By place" in jobs and "By poi" not in jobs
    page = admin_client.get(f"/admin/diffuser_api/job/{job.pk}/change/").content.decode()
    assert "Step:" not in page
