"""Requests that looked empty, or came under another address or name: each is answered, or told the reason."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.wsgi import get_wsgi_application
from django.urls import set_script_prefix
from PIL import Image

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.clients import make_job
from diffuser_api.catalogue import fitting
from diffuser_api.models import ActionImage, Job, PoiImage
from diffuser_api.photos.pictures import as_png

CALLS = [
    "lora-training",
    "photos/check",
    "generate-image",
    "jobs/12345678/cancel",
    "lora-training/12345678/complete",
]


@pytest.fixture(autouse=True)
def rows(catalogue):
    return catalogue


@pytest.mark.parametrize("call", CALLS)
def test_a_post_without_the_last_slash_is_answered_like_one_with_it(call, client):
    answers = [client.post(f"/api/{call}{end}", {}, "application/json") for end in ("", "/")]
    assert [(a.status_code, a.content) for a in answers] == [(answers[1].status_code, answers[1].content)] * 2
    assert answers[0].status_code not in (301, 405)


@pytest.mark.parametrize("call", ["pois", "actions", "docs", "schema"])
def test_a_get_without_the_last_slash_is_answered(call, client):
    assert client.get(f"/api/{call}").status_code == 200


def test_a_picture_is_asked_for_and_deleted_without_slashes(client):
    answer = client.post("/api/generate-image", a_request(), "application/json")
    assert answer.status_code == 202
    assert client.delete(f"/api/jobs/{answer.json()['code']}").status_code == 204


@pytest.mark.parametrize(
    "names", [["images[]"] * 5, [f"image{n}" for n in range(1, 6)], ["images"] * 4 + ["image"]]
)
def test_photos_in_a_field_of_another_name_are_told_both_names(names, client):
    files: dict[str, list] = {}
    for name in names:
        files.setdefault(name, []).append(SimpleUploadedFile("a.png", b"photo"))
    answer = client.post("/api/lora-training/", files)
    text = answer.content.decode()
    assert answer.status_code == 400 and "`images`" in text and f"`{names[-1]}`" in text


def test_a_photo_to_check_in_a_field_of_another_name_is_told_both_names(client):
    answer = client.post("/api/photos/check/", {"photo": SimpleUploadedFile("a.png", b"photo")})
    assert answer.status_code == 400 and all(
        name in answer.json()["image"][1] for name in ("`photo`", "`image`")
    )


def test_a_missing_field_is_told_beside_the_name_that_was_sent(client):
    asked = a_request()
    asked["poi"] = asked.pop("poi_name")
    answer = client.post("/api/generate-image/", asked, "application/json")
    assert "`poi` is no field here; is `poi_name` meant?" in answer.json()["poi_name"]


@pytest.mark.parametrize("url", ["/api/lora-training/", "/api/photos/check/", "/you/"])
def test_sixty_one_files_are_told_the_limit(url, client, settings):
    files = [SimpleUploadedFile("a.png", b"x") for _ in range(61)]
    answer = client.post(url, {"images": files})
    assert answer.status_code == 400 and "more than 60 files" in answer.content.decode()


def test_a_place_as_narrow_as_a_line_makes_no_job(client, tmp_path):
    place = PoiImage.objects.first()
    place.image.save("line.png", SimpleUploadedFile("line.png", as_png(Image.new("RGB", (4000, 4)))))
    answer = client.post("/api/generate-image/", a_request(poi_image=place.name), "application/json")
    assert answer.status_code == 400 and "4000 x 4 pixels, too narrow" in answer.content.decode()
    assert not Job.objects.exists()
    with pytest.raises(fitting.TooSmall):
        fitting.check(place, ActionImage.objects.first(), with_face=False)


# --- below a path of the host -------------------------------------------------------------------------------


def test_a_site_below_a_path_says_so_in_its_static_addresses(rf, settings):
    """Through the whole application: Django's client for tests doesn't tell the site's path."""
    settings.STUDIO, application = True, get_wsgi_application()

    def get(path: str):
        return application(rf.get(path, SCRIPT_NAME="/cartolina").environ, lambda *_: None)

    page = get("/").content.decode()
    assert '"/cartolina/static/' in page and '"/static/' not in page
    assert get("/favicon.ico")["Location"].startswith("/cartolina/static/")
    set_script_prefix("/")


def test_a_site_below_a_path_is_told_to_be_kept_nowhere(client):
    job = make_job()
    answer = client.get(f"/api/jobs/{job.code}/", SCRIPT_NAME="/cartolina")
    assert answer.status_code == 200 and answer["Cache-Control"] == "no-store"
    large = client.post("/api/pois/", b" " * 2_000_000, "application/json", SCRIPT_NAME="/cartolina")
    assert large.status_code == 400 and "MB" in large.json()["detail"]


def test_health_below_a_path_needs_no_tls_and_no_host(client, settings):
    from diffuser_api.access import internal

    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = internal.without_tls("/cartolina")
    answer = client.get("/healthz", SCRIPT_NAME="/cartolina", headers={"Host": "web"})
    assert answer.status_code == 200
