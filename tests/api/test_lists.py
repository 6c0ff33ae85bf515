"""The caller's own jobs and LoRAs, and what is answered where there is nothing."""

import ast

import pytest

from benchmarks.harness.clients import make_client, make_job, make_lora


def test_a_caller_lists_their_own_jobs_newest_first_in_pages(client, catalogue, settings):
    settings.OPEN_API = False
    owner, token = make_client("owner")
    other, _ = make_client("other")
    make_job(other)
    codes = [make_job(owner, name).code for name in ("anna", "anna", "bruno")]
    told = client.get("/api/jobs/", headers=token).json()
    assert told["count"] == 3 and [job["code"] for job in told["results"]] == codes[::-1]
    anna = client.get("/api/jobs/?page_size=1", headers=token | {"X-Visitor": "anna"}).json()
    assert [job["code"] for job in anna["results"]] == [codes[1]] and anna["count"] == 2
    assert (
        client.get(anna["next"], headers=token | {"X-Visitor": "anna"}).json()["results"][0]["code"]
        == codes[0]
    )
    assert client.get("/api/jobs/").status_code == client.get("/api/loras/").status_code == 401


@pytest.mark.parametrize("number", ["1_0", " 1", "1 ", "+1", "1.0", "\u0661", "x"])
def test_a_page_is_named_by_the_digits_0_to_9_alone(number, client, catalogue):
    for _ in range(25):
        make_job()
    answer = client.get("/api/jobs/", {"page": number})
    assert answer.status_code == 404 and answer.json() == {
        "detail": "There is no such page: the list has fewer."
    }
    sizes = [len(client.get("/api/jobs/", {"page_size": size}).json()["results"]) for size in (number, "1")]
    assert sizes == [20, 1]  # what is no number isn't read, as before
    pages = [len(client.get("/api/jobs/", {"page": page}).json()["results"]) for page in ("1", "2", "last")]
    assert pages == [20, 5, 5]


def test_a_caller_lists_their_own_loras_with_where_to_erase_them(client, db, settings):
    settings.OPEN_API = False
    owner, token = make_client("owner")
    make_lora("30000001", owner, "anna")
    make_lora("30000002")
    [lora] = client.get("/api/loras/", headers=token).json()["results"]
    assert lora["code"] == "30000001" and client.delete(lora["url"], headers=token).status_code == 204
    assert client.get("/api/loras/", headers=token).json()["results"] == []


NO_CODE = "There is no such code, or it is another client's or visitor's."


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("get", "jobs/12345678/", NO_CODE),
        ("post", "jobs/x/cancel/", NO_CODE),
        ("post", "jobs/12345678/postcard/", NO_CODE),
        ("delete", "loras/12345678/", NO_CODE),
        ("get", "jobs/?page=9", "There is no such page: the list has fewer."),
    ],
)
def test_a_code_or_page_that_is_not_there_is_said_in_our_words(method, path, said, client, db):
    answer = getattr(client, method)(f"/api/{path}")
    assert answer.status_code == 404 and answer.json() == {"detail": said}


@pytest.mark.parametrize("path", ["/api/", "/api/nothing/", "/api/jobs/12345678/nothing/", "/api/nothing"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_address_that_is_no_call_is_answered_in_json(path, method, client, db):
    answer = getattr(client, method)(path)
    assert answer.status_code == 404 and "/api/docs/" in answer.json()["detail"]


def test_delete_has_a_text_of_its_own(client, db):
    calls = client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()["paths"]
    told = calls["/api/jobs/{code}/"]
    assert told["get"]["description"].startswith("How far a job is.")
    assert told["delete"]["description"].startswith("Away with a job")


def test_examples_ask_for_a_token_where_it_is_needed_in_three_languages(client, db):
    page = client.get("/api/docs/").content.decode()
    for part in page.split("<section id=")[1:]:
        needs = "No token is asked for" not in part
        assert ("Authorization" in part) == needs, part[:60]
        assert part.count("<summary>Python</summary>") == part.count("<summary>JavaScript</summary>") == 1


def test_python_examples_are_python(client, db):
    from diffuser_api.api.code_examples import in_languages

    curl = (
        """curl -H "Authorization: Bearer $TOKEN" -F images=@photos/1.png https://cartolina.example/api/x/"""
    )
    names = dict(in_languages(curl))
    assert ast.parse(names["Python"]) and 'open("photos/1.png", "rb")' in names["Python"]
    assert 'body.append("images", file1)' in names["JavaScript"]
