"""What the API's page shows: an example of every call, as a service answers it, and every error."""

import json
import os
import re
import subprocess
import sys

import pytest
from django.core.management import call_command

from benchmarks.harness import ROOT
from benchmarks.harness.clients import make_client
from diffuser_api.api.schema import EXAMPLES, OPEN


@pytest.fixture
def schema(client, db):
    return client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()


def operations(schema):
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_call_has_an_example_and_every_answer_with_a_body_too(schema):
    lacking = []
    for name, operation in operations(schema):
        if "```sh\ncurl" not in operation.get("description", ""):
            lacking.append(name)
        for status, answer in operation["responses"].items():
            told = answer.get("content", {}).get("application/json", {})
            if name.endswith("complete/") and status != "403":
                continue  # for post-back.py alone, with a token that nobody sees
            if status in ("200", "202", "400", "401", "404") and told and "example" not in told:
                lacking.append(f"{name} {status}")
    assert lacking == []


def test_every_call_lists_its_errors(schema):
    for name, operation in operations(schema):
        answers = operation["responses"]
        assert "429" in answers, name
        for status, answer in answers.items():
            assert status < "400" or answer["description"] or "example" in str(answer), f"{name} {status}"
        if name.split()[1] not in OPEN and not name.endswith("complete/"):
            assert "401" in answers, name


def shape(value):
    """Keys and kinds; what the values are differs from run to run."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_the_examples_are_still_what_a_service_answers(client, transactional_db, settings):
    settings.OPEN_API = False
    call_command("load_demo", verbosity=0)
    _, token = make_client("docs")
    kept = json.loads(EXAMPLES.read_text())
    places, actions = (client.get(path).json() for path in ("/api/pois/", "/api/actions/"))
    known = {name: example.get("answers", {}) for name, example in kept.items()}
    assert shape(places) == shape(known["GET /api/pois/"]["200"])
    assert shape(actions) == shape(known["GET /api/actions/"]["200"])
    path = "/api/generate-image/"
    wish = kept[f"POST {path}"]["request"] | {"selected_lora": ""}
    asked = client.post(path, wish, "application/json", headers=token)
    assert asked.status_code == 202 and shape(asked.json()) == shape(known[f"POST {path}"]["202"])
    job = f"/api/jobs/{asked.json()['code']}/"
    told, example = client.get(job, headers=token).json(), known["GET /api/jobs/{code}/"]["200"]
    assert set(told) == set(example)
    cancelled = client.post(f"{job}cancel/", headers=token)
    assert set(cancelled.json()) == set(known["POST /api/jobs/{code}/cancel/"]["202"])
    for answer, name in (
        (client.post(path, {}, "application/json"), f"POST {path} 401"),
        (client.get("/api/jobs/00000000/", headers=token), "GET /api/jobs/{code}/ 404"),
        (client.post(f"{job}cancel/", headers=token), "POST /api/jobs/{code}/cancel/ 409"),
    ):
        call, _, status = name.rpartition(" ")
        assert answer.status_code == int(status) and answer.json() == known[call][status], name


def test_the_page_tells_every_call_its_fields_and_its_answers(client, db, schema):
    page = client.get("/api/docs/").content.decode()
    for name, operation in operations(schema):
        method, path = name.split()
        assert f"<b>{method}</b> <code>{path}</code>" in page, name
        assert page.count(f'id="{operation["operationId"]}"') == 1
    for words in ("<code>selected_lora</code>", "<code>error.code</code>", "one of CLS, MES, FUS", "or null"):
        assert words in page, words
    assert "<b>422</b> Unprocessable" in page


def test_the_page_breaks_no_sentence_and_shows_no_markup(client, db):
    page = client.get("/api/docs/").content.decode()
    assert "The answer comes at once; the picture takes a while. With <code>candidates</code>, " in page
    assert "No file <code>image</code>." in page  # an answer
    assert "<td>A PDF has both sides, a picture one of them.</td>" in page  # a field
    prose = re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
    assert "<br>" not in prose and "`" not in prose


@pytest.mark.parametrize("text", ["%00", "a%0D%0Ab", "%1B", "%C3%A9", "1"])
@pytest.mark.parametrize("name", ["version", "lang", "format", "other"])
def test_the_schema_is_answered_whatever_its_address_asks_for(client, name, text):
    client.raise_request_exception = False
    answer = client.get(f"/api/schema/?{name}={text}")
    assert answer.status_code == (404 if name == "format" and text != "%00" else 200)  # NUL is taken out


def test_the_schema_says_that_files_are_sent_as_bytes(schema):
    parts = schema["components"]["schemas"]
    images = parts["LoraTrainingRequest"]["properties"]["images"]["items"]
    uploads = [images, parts["PhotoCheckRequest"]["properties"]["image"]]
    uploads.append(parts["TrainingCompleteRequest"]["properties"]["lora"])
    assert [upload["format"] for upload in uploads] == ["binary"] * 3


def test_the_answer_to_a_bad_idempotency_key_is_the_declared_one(client, schema):
    answer = client.post("/api/lora-training/", headers={"Idempotency-Key": "x" * 256})
    assert answer.status_code == 400 and list(answer.json()) == ["Idempotency-Key"]
    refused = schema["components"]["schemas"]["PhotosRefused"]
    assert not set(refused.get("required", ())) - set(answer.json())


FIRST_ASKED_BY_EIGHT = """
import threading, django
django.setup()
from django.test import Client
start, seen = threading.Barrier(8), []
def ask():
    client = Client(raise_request_exception=False)
    start.wait()
    seen.append(client.get("/api/schema/").status_code)
threads = [threading.Thread(target=ask) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
print(seen)
"""


def test_a_schema_first_asked_for_by_several_at_once_is_answered_to_all(tmp_path):
    """In a process of its own: the library's imports come with the first request."""
    settings = {"DATA_DIR": str(tmp_path / "data"), "ALLOWED_HOSTS": "testserver"}
    command = [sys.executable, "-c", FIRST_ASKED_BY_EIGHT]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True)
    assert done.stdout.strip() == str([200] * 8), done.stderr[-2000:]
