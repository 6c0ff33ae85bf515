"""Who may do what: every URL of the site as everybody, tokens, visitors, signed pictures, the open API."""

import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.urls import URLPattern, URLResolver, get_resolver

import studio.urls
from benchmarks.harness.api_requests import a_request, send
from benchmarks.harness.catalogue import make_catalogue, make_photos
from benchmarks.harness.clients import make_client, make_job, make_lora, make_picture, make_training
from diffuser_api.access import tokens
from diffuser_api.jobs import status_changes
from diffuser_api.models import ApiToken, Client, Job, LoraModel

COLUMNS = ("nobody", "another client", "the owner", "another visitor", "staff")
# Method, path, and the answer's status for each column. {job}, {picture}: codes of the owner's, made for one
# visitor of its; {place} and {shot}: rows of the catalogue. A URL that isn't here fails the test below.
TABLE = {
    "pois": ("GET /api/pois/", 200, 200, 200, 200, 200),
    "actions": ("GET /api/actions/", 200, 200, 200, 200, 200),
    "schema": ("GET /api/schema/", 200, 200, 200, 200, 200),
    "docs": ("GET /api/docs/", 200, 200, 200, 200, 200),
    "poi-thumbnail": ("GET /data/thumbnails/pois/{place}/image", 200, 200, 200, 200, 200),
    "action-thumbnail": ("GET /data/thumbnails/actions/{shot}/skeleton", 200, 200, 200, 200, 200),
    "favicon": ("GET /favicon.ico", 302, 302, 302, 302, 302),
    "healthz": ("GET /healthz", 200, 200, 200, 200, 200),
    "readyz": ("GET /readyz", 200, 200, 200, 200, 200),
    "metrics": ("GET /metrics", 404, 404, 404, 404, 404),
    # 400: let in, and the empty request is refused. 403: only the training's own token opens it.
    "lora-training": ("POST /api/lora-training/", 401, 400, 400, 400, 401),
    "photo-check": ("POST /api/photos/check/", 401, 400, 400, 400, 401),
    "generate-image": ("POST /api/generate-image/", 401, 400, 400, 400, 401),
    "training-complete": ("POST /api/lora-training/{job}/complete/", 403, 403, 403, 403, 403),
    "consent": ("GET /api/consent/", 200, 200, 200, 200, 200),
    "verify": ("POST /api/verify/", 400, 400, 400, 400, 400),
    "jobs": ("GET /api/jobs/", 401, 200, 200, 200, 401),
    "loras": ("GET /api/loras/", 401, 200, 200, 200, 401),
    "no-such-call": ("GET /api/no-such-call/", 404, 404, 404, 404, 404),
    "job": ("GET /api/jobs/{job}/", 401, 404, 200, 404, 401),
    "job-postcard": ("POST /api/jobs/{job}/postcard/", 401, 404, 409, 404, 401),
    "job-keep": ("POST /api/jobs/{job}/keep/", 401, 404, 200, 404, 401),
    "job-face": ("POST /api/jobs/{job}/face/", 401, 404, 409, 404, 401),
    "output": ("GET /data/outputs/{picture}", 404, 404, 200, 404, 200),
    "output-png": ("GET /data/outputs/{picture}.png", 404, 404, 200, 404, 200),
    "job-cancel": ("POST /api/jobs/{job}/cancel/", 401, 404, 202, 404, 401),
    "job deleted": ("DELETE /api/jobs/{job}/", 401, 404, 204, 404, 401),
    "lora": ("DELETE /api/loras/{lora}/", 401, 404, 204, 404, 401),
}
# The studio's pages know no token and no staff, only their own visitors: see test_studio_visitors.py.
STUDIO = {f"studio:{pattern.name}" for pattern in studio.urls.urlpatterns} | {"language"}
ADMIN_OPEN = {"login", "logout", "jsi18n"}  # what the admin shows to those who aren't logged in


@pytest.fixture
def catalogue(db):
    """As everywhere, but rolled back at the end, which is quicker: no thread or process looks on here."""
    return make_catalogue()


@pytest.fixture
def world(catalogue, settings, tmp_path):
    """The headers of every column, and the values of the table's names."""
    settings.OPEN_API = False
    owner, token = make_client("owner")
    _, other = make_client("other")
    headers = {
        "nobody": {},
        "another client": other,
        "the owner": token | {"X-Visitor": "anna"},
        "another visitor": token | {"X-Visitor": "bruno"},
        "staff": {},
    }
    names = {
        "job": make_job(owner, "anna").code,
        "picture": make_picture(tmp_path, owner, "anna").code,
        "lora": make_lora("20000001", owner, "anna").code,
        "place": catalogue.images.first().pk,
        "shot": Job.objects.first().action_image.pk,
    }
    return headers, names


def urls(patterns=None, prefix="", namespace=""):
    """(name, path) of every URL of the site; those of the admin as admin:name."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inside = ":".join(filter(None, (namespace, pattern.namespace or "")))
            yield from urls(pattern.url_patterns, path, inside)
        elif isinstance(pattern, URLPattern):
            yield ":".join(filter(None, (namespace, pattern.name or ""))), path


def test_every_url_is_in_the_table():
    names = {name for name, _ in urls() if not name.startswith("admin:") and name != "admin"}
    assert names == {row.split()[0] for row in TABLE} | STUDIO


@pytest.mark.parametrize("column", COLUMNS)
def test_every_url_answers_each_caller_as_the_table_says(column, world, client, admin_user):
    headers, names = world
    if column == "staff":
        client.force_login(admin_user)
    answered = {}
    for row, (what, *_) in TABLE.items():
        method, path = what.format(**names).split()
        answer = client.generic(method, path, headers=headers[column])
        answered[row] = answer.status_code
        if answer.status_code == 401:
            assert answer["WWW-Authenticate"].startswith("Bearer") and "token" in answer.json()["detail"]
    assert answered == {row: expected[COLUMNS.index(column)] for row, (_, *expected) in TABLE.items()}


@pytest.mark.parametrize("column", COLUMNS[:-1])
def test_the_admins_urls_are_closed_to_all_but_staff(column, world, client):
    headers, _ = world
    paths = [(name, path) for name, path in urls() if name.startswith("admin:")]
    assert len(paths) > 40
    for name, path in paths:
        path = "/" + re.sub(r"<[^>]*:?object_id>|<[^>]*pk>|<[^>]*>|\(\?P<[^>]*\)", "1", path)
        answer = client.get(re.sub(r"[\^$]|\?P|\\.", "", path), headers=headers[column])
        allowed = (200, 302, 405) if name.partition(":")[2] in ADMIN_OPEN else (302, 403, 404)
        assert answer.status_code in allowed, (path, answer.status_code)
        if answer.status_code == 302 and name.partition(":")[2] not in ADMIN_OPEN:
            assert "/admin/login/" in answer["Location"] or answer["Location"].startswith("/admin/")


# --- tokens -------------------------------------------------------------------------------------------------


def test_create_client_prints_a_token_that_works(client, catalogue, settings):
    settings.OPEN_API = False
    out = io.StringIO()
    call_command("create_client", "studio", stdout=out)
    call_command("create_client", "studio", "--another-token", stdout=out)
    tokens = out.getvalue().split()
    assert len(tokens) == 2
    for token in tokens:
        answer = client.post(
            "/api/generate-image/",
            a_request(),
            "application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 202
        assert not ApiToken.objects.filter(hash=token).exists()  # what is kept is not what is sent
    assert {job.client.name for job in Job.objects.all()} == {"studio"}
    with pytest.raises(CommandError, match="another-token"):
        call_command("create_client", "studio")


def test_a_withdrawn_token_and_a_client_that_is_off_are_refused(client, world):
    headers, names = world
    url = f"/api/jobs/{names['job']}/"
    Client.objects.filter(name="owner").update(is_active=False)
    assert client.get(url, headers=headers["the owner"]).status_code == 401
    Client.objects.filter(name="owner").update(is_active=True)
    assert client.get(url, headers=headers["the owner"]).status_code == 200
    ApiToken.objects.all().delete()
    answer = client.get(url, headers=headers["the owner"])
    assert answer.status_code == 401 and "withdrawn" in answer.json()["detail"]


def test_a_malformed_token_is_unauthorized(client, world):
    for value in ("", "Bearer", "Bearer cart_", "Bearer cart_é\x80", "Basic eDp5", "bearer " + "x" * 9000):
        answer = client.get(f"/api/jobs/{world[1]['job']}/", headers={"Authorization": value})
        assert answer.status_code == 401, value


def test_the_admin_makes_clients_and_shows_the_token_once(admin_client, client, catalogue, settings):
    settings.OPEN_API = False
    rows = {f"tokens-{key}": "0" for key in ("TOTAL_FORMS", "INITIAL_FORMS")}
    body = {"name": "front", "is_active": "on"} | rows
    page = admin_client.post("/admin/diffuser_api/client/add/", body, follow=True).content.decode()
    [token] = re.findall(rf"{tokens.PREFIX}[\w-]{{43}}", page)
    job = make_job(Client.objects.get())
    answer = client.get(f"/api/jobs/{job.code}/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    pages = ["/admin/diffuser_api/client/", f"/admin/diffuser_api/client/{job.client.pk}/change/"]
    assert all(token not in admin_client.get(page).content.decode() for page in pages)


# --- owners and visitors ------------------------------------------------------------------------------------


def test_a_client_sees_all_its_visitors_and_a_visitor_itself(client, world):
    headers, names = world
    whole = {"Authorization": headers["the owner"]["Authorization"]}
    assert client.get(f"/api/jobs/{names['job']}/", headers=whole).status_code == 200
    assert client.get(f"/data/outputs/{names['picture']}", headers=whole).status_code == 200


def test_a_visitor_header_that_is_too_long_or_has_other_characters_is_refused(client, world):
    for visitor in ("x" * 65, "two words", "caffè", "a\tb", "", " ", "\t"):
        headers = world[0]["the owner"] | {"X-Visitor": visitor}
        answer = client.get(f"/api/jobs/{world[1]['job']}/", headers=headers)
        assert answer.status_code == 400 and "X-Visitor" in answer.json()["detail"]


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_header_is_not_read_as_none(blank, client, world, settings):
    """Else a front-end that has lost its visitor's name would speak for all of them."""
    headers, names = world
    for method, path in (("GET", "job"), ("DELETE", "job"), ("GET", "picture")):
        url = f"/data/outputs/{names[path]}" if path == "picture" else f"/api/jobs/{names[path]}/"
        answer = client.generic(method, url, headers=headers["the owner"] | {"X-Visitor": blank})
        assert answer.status_code == (404 if path == "picture" else 400)
    settings.OPEN_API = True
    answer = client.get("/api/jobs/00000000/", headers={"Authorization": blank})
    assert answer.status_code == 401 and "Bearer TOKEN" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("column", "used"), [("the owner", True), ("another visitor", False), ("another client", False)]
)
def test_only_the_owner_of_a_lora_gets_pictures_with_it(column, used, client, world):
    headers, _ = world
    make_lora("12345678", Client.objects.get(name="owner"), "anna")
    request = a_request(selected_lora="12345678")
    answer = client.post("/api/generate-image/", request, "application/json", headers=headers[column])
    assert answer.status_code == 202 and answer.json()["lora_used"] is used


def test_a_trained_lora_belongs_to_the_owner_of_its_job(world):
    owner = Client.objects.get(name="owner")
    job = status_changes.claim(make_training(make_photos(), client=owner, visitor="anna").code)
    status_changes.finish_training(job, b"weights")
    lora = LoraModel.objects.get(code=job.code)
    assert (lora.client, lora.visitor) == (owner, "anna")


def test_a_job_made_without_a_token_is_hidden_from_clients(client, world, settings):
    settings.OPEN_API = True
    code = make_job().code
    assert client.get(f"/api/jobs/{code}/").status_code == 200
    assert client.get(f"/api/jobs/{code}/", headers=world[0]["another client"]).status_code == 404
    assert client.get(f"/api/jobs/{world[1]['job']}/").status_code == 404


# --- pictures -----------------------------------------------------------------------------------------------


def test_a_signed_url_opens_for_anybody_until_it_expires(client, world, monkeypatch, settings):
    headers, names = world
    owner = {"Authorization": headers["the owner"]["Authorization"]}
    url = client.get(f"/api/jobs/{names['picture']}/", headers=owner).json()["output_url"]
    assert "?sig=" in url
    answer = client.get(url, headers={"Accept": "image/*"})
    assert b"".join(answer.streaming_content) == b"picture" and answer["Content-Type"] == "image/png"
    now = tokens.time.time()
    monkeypatch.setattr(tokens.time, "time", lambda: now + settings.OUTPUT_URL_HOURS * 3600 - 1)
    assert client.get(url).status_code == 200
    monkeypatch.setattr(tokens.time, "time", lambda: now + (settings.OUTPUT_URL_HOURS + 1) * 3600)
    assert client.get(url).status_code == 404


def test_a_forged_signature_opens_nothing(client, world):
    for sig in ("", "x", "9999999999.x", "..", "é", "\0", "9" * 5000):
        assert client.get(f"/data/outputs/{world[1]['picture']}", {"sig": sig}).status_code == 404


def test_the_signature_of_another_picture_opens_nothing(client, world):
    _, names = world
    answer = client.get(f"/data/outputs/{names['picture']}", {"sig": tokens.sign_output(names["job"])})
    assert answer.status_code == 404


def test_with_plain_output_urls_anybody_may_open_a_picture(client, world, settings):
    settings.OUTPUT_URLS = "plain"
    headers, names = world
    owner = {"Authorization": headers["the owner"]["Authorization"]}
    url = client.get(f"/api/jobs/{names['picture']}/", headers=owner).json()["output_url"]
    assert url.endswith(f"/data/outputs/{names['picture']}")
    assert client.get(url).status_code == 200


# --- the open API -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_the_open_api_answers_this_host(address, client, catalogue):
    assert client.get("/api/jobs/00000000/", REMOTE_ADDR=address).status_code == 404


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        ({"REMOTE_ADDR": "192.168.1.5"}, "192.168.1.5"),
        ({"REMOTE_ADDR": "::ffff:8.8.8.8"}, "OPEN_API_NETWORKS"),
        ({"REMOTE_ADDR": ""}, "socket"),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, "proxy"),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, "proxy"),
        ({"HTTP_X_REAL_IP": "127.0.0.1"}, "proxy"),
    ],
)
def test_the_open_api_is_closed_to_others_and_says_why(request_, word, client, catalogue, tmp_path):
    answer = client.get("/api/jobs/00000000/", **request_)
    assert answer.status_code == 401
    assert "OPEN_API" in answer.json()["detail"] and word in answer.json()["detail"]
    picture = make_picture(tmp_path)
    assert client.get(f"/data/outputs/{picture.code}", **request_).status_code == 404


OTHER_PAGES = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this host
    {"Origin": "http://localhost:9999"},
    {"Origin": "http://testserver:9999", "Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
    {"Origin": ""},
]


@pytest.mark.parametrize("headers", OTHER_PAGES)
def test_another_page_makes_and_cancels_no_job_on_the_open_api(headers, client, catalogue):
    code = make_job().code
    for path in ("generate-image/", f"jobs/{code}/cancel/"):
        answer = client.post(f"/api/{path}", a_request(), headers=headers)
        assert answer.status_code == 401 and "another site" in answer.json()["detail"]
    assert client.delete(f"/api/jobs/{code}/", headers=headers).status_code == 401


def test_the_open_apis_own_page_and_programs_make_jobs(client, catalogue):
    for headers in ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, {}):
        assert client.post("/api/generate-image/", a_request(), headers=headers).status_code == 202


def test_another_page_can_neither_show_a_picture_nor_learn_which_there_are(client, catalogue, tmp_path):
    there, link = make_picture(tmp_path).code, {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for site in ("same-site", "cross-site"):
        shown = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        seen = [client.get(f"/data/outputs/{code}", headers=shown) for code in (there, "00000000")]
        assert {answer.status_code for answer in seen} == {404}
        assert {answer["Cross-Origin-Resource-Policy"] for answer in seen} == {"same-origin"}
        followed = client.get(f"/data/outputs/{there}", headers={"Sec-Fetch-Site": site} | link)
        assert followed.status_code == 200 and followed["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_signed_picture_is_shown_by_any_site_and_kept_by_no_browser(client, world):
    headers, names = world
    url = f"/data/outputs/{names['picture']}"
    signed = client.get(url, {"sig": tokens.sign_output(names["picture"])})
    assert signed["Cross-Origin-Resource-Policy"] == "cross-origin"
    own = client.get(url, headers=headers["the owner"])
    assert own["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "no-store" in own["Cache-Control"] and "no-store" in signed["Cache-Control"]


def test_a_token_works_on_an_open_api_from_anywhere(client, catalogue):
    owner, headers = make_client("owner")
    job = make_job(owner)
    answer = client.get(f"/api/jobs/{job.code}/", headers=headers, REMOTE_ADDR="192.168.1.5")
    assert answer.status_code == 200


def test_a_training_belongs_to_the_client_and_visitor_that_sent_it(client, world):
    headers, _ = world
    client.defaults["HTTP_AUTHORIZATION"] = headers["the owner"]["Authorization"]
    client.defaults["HTTP_X_VISITOR"] = "anna"
    code = send(client, make_photos()).json()["lora_code"]
    assert (Job.objects.get(code=code).client.name, Job.objects.get(code=code).visitor) == ("owner", "anna")
