"""Behind TLS and a public name, the service's own calls get through, and nothing else does."""

import pytest

from benchmarks.harness.clients import make_training
from diffuser_api.jobs import status_changes
from tests.access.test_access import urls

INSIDE = {"HTTP_HOST": "web:8000"}  # how a worker of compose calls the web server: without TLS
OTHER_ADDRESSES = [
    "/healthz/",
    "/healthz/x",
    "/healthz%0a",
    "/x/healthz",
    "/readyz/../admin/login/",
    "/api/lora-training/1/complete/",
    "/api/lora-training/12345678/complete",
    "/api/lora-training/12345678/complete/x",
    "/api/lora-training/12345678/complete/%0a",
    "/x/api/lora-training/12345678/complete/",
]


@pytest.fixture(autouse=True)
def documented_deployment(settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["cartolina.example"]
    settings.NUM_PROXIES = 1
    settings.OPEN_API = False


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["web:8000", "127.0.0.1:8000", "evil.example", "not a host"])
def test_health_checks_pass_under_any_name_without_tls(client, host):
    for path in ("/healthz", "/readyz"):
        answer = client.get(path, HTTP_HOST=host)
        assert answer.status_code == 200 and host.encode() not in answer.content


def test_a_training_is_delivered_though_the_site_is_https_and_has_another_name(
    client, transactional_db, photos
):
    job = status_changes.claim(make_training(photos).code)
    token = status_changes.issue_token(job)
    url = f"/api/lora-training/{job.code}/complete/"
    assert client.post(url, {"error": "x"}, **INSIDE).status_code == 403  # without the token
    answer = client.post(url, {"error": "x"}, headers={"Authorization": f"Bearer {token}"}, **INSIDE)
    assert answer.status_code == 204
    again = client.post(url, {"error": "x"}, headers={"Authorization": f"Bearer {token}"}, **INSIDE)
    assert again.status_code == 403  # it works once


def test_no_other_address_is_exempt(client, db):
    internal = {"healthz", "readyz", "training-complete"}
    paths = {
        "/" + path.replace("<str:code>", "12345678") for name, path in urls() if name not in internal
    } | set(OTHER_ADDRESSES)
    assert len(paths) > 60
    for path in paths:
        assert client.get(path, **INSIDE).status_code == 400, path  # this name isn't ours
        answer = client.get(path, HTTP_HOST="cartolina.example")
        assert answer.status_code == 301 and answer["Location"].startswith("https://"), path
