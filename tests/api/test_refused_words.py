"""Words that can't be used make no job and no card, by any road; the answer says what to do."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils.translation import override

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_job
from diffuser_api import wording
from diffuser_api.api import fields
from diffuser_api.api.postcards import PostcardSerializer
from diffuser_api.api.serializers import GenerateImageSerializer
from diffuser_api.jobs import orders
from diffuser_api.models import Job
from tests.studio.test_studio_visitors import ask, come, finish, wish

URL = "/api/generate-image/"


@pytest.fixture
def catalogue(db):
    """As everywhere, but rolled back at the end, which is quicker: no thread or process looks on here."""
    return make_catalogue()


@pytest.fixture
def studio(settings):
    settings.STUDIO = True


def sentence(intent: str, language: str = "en") -> str:
    with override(language):
        return str(wording.SENTENCES[intent])


@pytest.mark.parametrize("language", ["en", "it"])
def test_clothes_that_are_none_are_refused_by_their_field_in_both_languages(language, client, catalogue):
    answer = client.post(
        URL, a_request(other_details="n4ked"), "application/json", headers={"Accept-Language": language}
    )
    assert answer.status_code == 400 and not Job.objects.exists()
    assert answer.json() == {"other_details": [sentence("nudity", language)]}
    assert sentence("nudity", "it") != sentence("nudity", "en")


def test_an_action_in_words_is_refused_before_one_is_picked(client, catalogue):
    words = {"dynamic_action_selection": True, "action_prompt": "killing a man"}
    answer = client.post(URL, a_request(**words), "application/json")
    assert answer.status_code == 400 and answer.json() == {"action_prompt": [sentence("violence")]}


def test_every_problem_of_a_request_is_told_at_once(client, catalogue):
    wrong = a_request(other_details="naked", age="ancient")
    assert set(client.post(URL, wrong, "application/json").json()) == {"other_details", "age"}


def test_every_free_text_of_visitors_is_judged():
    """A new text field has to be a FreeText, or to be named here with the reason why it is none."""
    no_words = {"webhook_url", "link", "layout", "action_name", "selected_lora"}  # URLs and names of rows
    painted = {"other_details", "action_prompt"}
    for serializer in (GenerateImageSerializer(), PostcardSerializer()):
        for name, field in serializer.fields.items():
            if isinstance(field, fields.OptionalText) and name not in no_words:
                assert isinstance(field, fields.FreeText) and field.painted == (name in painted), name


def test_a_text_that_is_too_long_is_refused_for_that_and_not_judged(client, catalogue):
    [reason] = client.post(URL, a_request(other_details="naked " * 500), "application/json").json()[
        "other_details"
    ]
    assert "300" in reason


@pytest.mark.parametrize("field", ["greeting", "message", "address"])
def test_a_card_with_a_threat_is_not_printed(field, client, catalogue, tmp_path):
    job = finish(make_job(), tmp_path)
    url = f"/api/jobs/{job.code}/postcard/"
    answer = client.post(url, {field: "I will k1ll you"}, "application/json")
    assert answer.status_code == 400 and answer.json() == {field: [sentence("violence")]}
    harmless = client.post(url, {field: "The naked statue kills me"}, "application/json")
    assert harmless.status_code == 200


def test_swimwear_is_taken_where_the_operator_allows_it(client, catalogue, settings):
    request = a_request(other_details="a bikini")
    assert client.post(URL, request, "application/json").json() == {"other_details": [sentence("swimwear")]}
    settings.ALLOW_SWIMWEAR = True
    assert client.post(URL, request, "application/json").status_code == 202


def test_a_picture_of_before_with_such_words_is_not_painted_again(client, admin_client, catalogue, studio):
    anna, _, _ = come()
    job = ask(anna, catalogue)
    Job.objects.update(parameters=job.parameters | {"other_details": "naked"})
    with pytest.raises(wording.WordsRefused):
        orders.create_job(orders.order_again(Job.objects.get(), seed=1))
    answer = anna.post(f"/jobs/{job.code}/again/")
    assert answer.status_code == 409 and sentence("nudity") in answer.content.decode().replace("&#x27;", "'")
    answer = admin_client.post(reverse("admin:diffuser_api_job_again", args=[job.pk]))
    assert sentence("nudity") in str([*get_messages(answer.wsgi_request)][0])
    assert Job.objects.count() == 1


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize(
    ("field", "words", "intent"), [("clothes", "nothing", "nudity"), ("words", "shooting people", "violence")]
)
def test_the_studio_says_by_the_field_what_to_do(field, words, intent, language, catalogue, studio):
    anna, _, _ = come()
    how = {"how": "words"} if field == "words" else {}
    answer = anna.post(
        "/postcard/", wish(catalogue, **{field: words}, **how), headers={"Accept-Language": language}
    )
    page = answer.content.decode().replace("&#x27;", "'")
    assert answer.status_code == 400 and not Job.objects.exists()
    assert page.count(sentence(intent, language)) >= 2 and f'href="#field-{field}"' in page


def test_the_figure_for_typed_words_is_none_where_they_are_refused(catalogue, studio):
    anna, _, _ = come()
    page = anna.get("/postcard/figure/", {"words": "killing a man", "shot": "MES"}).content.decode()
    assert sentence("violence").replace("'", "&#x27;") in page and "<img" not in page
