"""GET /api/pois/, /api/actions/, the thumbnails, and the small pages around the API."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client as Browser
from PIL import Image

from diffuser_api.api.views import catalogue as views
from diffuser_api.models import PoiImage


def test_places_are_listed_with_their_images(client, catalogue):
    [poi] = client.get("/api/pois/").json()
    assert poi["name"] == "Piazza"
    assert [image["name"] for image in poi["images"]] == ["dusk", "noon"]
    thumbnail = client.get(poi["images"][0]["image_url"])
    assert thumbnail["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(thumbnail.content)).size == (256, 256)


def test_actions_are_listed_with_their_shots(client, catalogue):
    sitting, waving = client.get("/api/actions/").json()
    assert [shot["shot_type"] for shot in waving["shots"]] == ["CLS", "MES", "FUS"]
    assert sitting["description"] == "sitting cross-legged on the ground"
    assert client.get(sitting["shots"][0]["image_url"]).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "/data/db.sqlite3",
        "/data/secret_key",
        "/data/outputs/../secret_key",
        "/data/outputs/%2e%2e/secret_key",
        "/data/outputs/12345678",
        "/data/pois/noon.png",
        "/data/thumbnails/pois/1/poi",
        "/data/thumbnails/actions/1/__class__",
        "/api/jobs/00000000/",
    ],
)
def test_nothing_else_of_the_data_is_served(url, client, catalogue):
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("url", ["/", "/healthz", "/readyz", "/api/schema/", "/api/docs/", "/admin/login/"])
def test_every_page_answers(url, client, transactional_db):
    assert client.get(url).status_code == 200


def test_pages_load_nothing_from_elsewhere(client, transactional_db):
    for url in ("/", "/api/docs/"):
        page = client.get(url).content.decode()
        assert 'src="http' not in page and 'href="http' not in page


def test_the_schema_is_complete(transactional_db):
    from django.core.management import call_command

    call_command("spectacular", "--validate", "--fail-on-warn", file="/dev/null")


@pytest.mark.parametrize(
    "page", ["/data/thumbnails/pois/{}/image", "/admin/diffuser_api/action/try.png?place={}"]
)
def test_a_picture_that_broke_on_the_disk_is_not_found(page, admin_client, catalogue):
    """Pillow calls a chunk of no known name a SyntaxError."""
    row, content = PoiImage.objects.first(), io.BytesIO()
    Image.effect_noise((400, 400), 90).save(content, "PNG")
    begin, _, end = content.getvalue().rpartition(b"IDAT")
    Path(row.image.path).write_bytes(begin + b"ID\0T" + end)
    assert admin_client.get(page.format(row.pk)).status_code == 404


def test_a_thumbnail_is_made_once_and_no_two_at_a_time(client, catalogue, monkeypatch):
    """A place of 39 megapixels takes 200 MB to open: ten clients took the web server's memory."""
    opened, at_once = [], []

    def count(file, kind):
        opened.append(threading.current_thread())
        at_once.append(len(opened) - len(done))
        time.sleep(0.05)
        done.append(1)
        return open_stored(file, kind)

    done, open_stored = [], views.open_stored
    monkeypatch.setattr(views, "open_stored", count)
    urls = [f"/data/thumbnails/pois/{image.pk}/image" for image in PoiImage.objects.all()] * 5

    def get(url):
        assert Browser().get(url).status_code == 200
        connection.close()

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(get, urls))
    assert len(opened) == len(set(urls)) == 2 and set(at_once) == {1}


def test_a_place_that_is_replaced_has_another_thumbnail(client, catalogue):
    image = PoiImage.objects.first()
    url = f"/data/thumbnails/pois/{image.pk}/image"
    before = client.get(url).content
    Image.new("RGB", (300, 300), "red").save(image.image.path, "PNG")  # under the same name
    assert client.get(url).content != before
