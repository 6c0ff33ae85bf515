"""POST /api/generate-image/: what is accepted, what is answered, and what is refused with which words."""

import pytest

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.clients import make_lora
from diffuser_api.models import Job

URL = "/api/generate-image/"


def test_a_request_is_answered_at_once_with_the_jobs_urls(client, catalogue):
    answer = client.post(URL, a_request(), "application/json")
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"code", "status", "status_url", "output_url", "lora_used", "action", "action_score"}
    assert len(body["code"]) == 8 and body["code"].isdigit()
    assert body["status"] == "queued" and body["action"] == "waving" and body["action_score"] is None
    assert body["status_url"].endswith(f"/api/jobs/{body['code']}/")
    assert body["output_url"].endswith(f"/data/outputs/{body['code']}")
    assert client.get(body["output_url"]).status_code == 404


def test_form_and_json_mean_the_same(client, catalogue):
    form = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in a_request(seed=5).items()
    }
    for answer in (client.post(URL, form), client.post(URL, a_request(seed=5), "application/json")):
        assert answer.status_code == 202, answer.json()
    first, second = Job.objects.order_by("pk")
    assert first.parameters == second.parameters and first.seed == second.seed == 5


@pytest.mark.parametrize("spelling", ["true", "True", True, "1"])
def test_a_free_text_picks_the_action(spelling, client, catalogue):
    request = a_request(
        dynamic_action_selection=spelling, action_prompt="she sits down on the floor", action_name=""
    )
    answer = client.post(URL, request, "application/json").json()
    assert answer["action"] == "sitting"
    assert 0.2 < answer["action_score"] <= 1


def test_a_text_unlike_every_action_is_refused_with_the_nearest_names(client, catalogue):
    request = a_request(dynamic_action_selection=True, action_prompt="quarterly tax accounting software")
    answer = client.post(URL, request, "application/json")
    assert answer.status_code == 400
    assert "waving" in answer.json()["action_prompt"][0] and "sitting" in answer.json()["action_prompt"][0]


@pytest.mark.parametrize("code", ["", None, "00000000", "no code at all", "../../etc/passwd"])
def test_without_a_known_lora_there_is_no_face_step(code, client, catalogue):
    answer = client.post(URL, a_request(selected_lora=code), "application/json")
    assert answer.status_code == 202 and answer.json()["lora_used"] is False
    assert Job.objects.get().steps == ["pose", "detail", "detail", "harmonize"]


def test_with_a_lora_there_is_a_face_step(client, catalogue):
    make_lora("12345678")
    answer = client.post(URL, a_request(selected_lora="12345678"), "application/json")
    assert answer.json()["lora_used"] is True
    assert Job.objects.get().steps == ["pose", "detail", "detail", "harmonize", "face"]


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"poi_name": "Atlantis"}, "poi_name", "Piazza"),
        ({"poi_image": "midnight"}, "poi_image", "noon"),
        ({"action_name": "flying"}, "action_name", "waving"),
        ({"action_name": "sitting", "action_shot_type": "FUS"}, "action_shot_type", "MES"),
        ({"action_shot_type": "XXL"}, "action_shot_type", "MES"),
        ({"action_name": ""}, "action_name", "needed"),
        ({"dynamic_action_selection": True}, "action_prompt", "needed"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_names(change, field, word, client, catalogue):
    answer = client.post(URL, a_request(**change), "application/json")
    assert answer.status_code == 400
    assert word in answer.json()[field][0]
    assert not Job.objects.exists()


def test_an_image_of_another_place_is_refused(client, catalogue):
    from diffuser_api.models import Poi

    Poi.objects.create(name="Lago")
    answer = client.post(URL, a_request(poi_name="Lago"), "application/json")
    assert "poi_image" in answer.json()


def test_a_seed_is_drawn_when_none_is_given(client, catalogue):
    for _ in range(2):
        client.post(URL, a_request(), "application/json")
    first, second = Job.objects.values_list("seed", flat=True)
    assert first != second and 0 <= first < 2**32
