"""Candidates of one request, of which one is kept; and the face that is painted again alone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client as Browser
from PIL import Image

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.clients import make_client, make_lora, make_order
from diffuser_api.jobs import choosing, deletion, kept, orders, queue, run_generation, status_changes
from diffuser_api.models import ActionImage, Job, PoiImage
from diffuser_api.photos import likeness_words
from generation import job_folder
from generation.models.profiles import get_profile
from generation.picture.canvas import fit_background
from generation.request import InvalidRequest

URL = "/api/generate-image/"


def three(client, **options) -> list[dict]:
    answer = client.post(URL, a_request(candidates=3), "application/json", **options)
    assert answer.status_code == 202, answer.json()
    return answer.json()["candidates"]


def finish(code: str, tmp_path: Path, body: bool = True, **likeness) -> Job:
    """As a worker would: a picture, and the step before its face."""
    job = status_changes.claim(code)
    picture = tmp_path / "picture.png"
    canvas = fit_background(Image.open(job.poi_image.image.open()), get_profile().pixel_budget)
    job_folder.write_picture(canvas, picture, {"seed": job.seed, "steps": []})
    if job.lora and body:
        folder = tmp_path / code
        folder.mkdir()
        job.parameters["made_from"] = run_generation.digest_of(folder, run_generation.fill(folder, job))
    if likeness:
        job.timings = [{"step": "face", "likeness": likeness}]
    assert status_changes.finish_generation(job, picture, picture if job.lora and body else None)
    return Job.objects.get(pk=job.pk)


def files() -> set[str]:
    return {
        f"{folder}/{name}"
        for folder in ("outputs", "bodies")
        if default_storage.exists(folder)
        for name in default_storage.listdir(folder)[1]
    }


# --- candidates ---------------------------------------------------------------------------------------------


def test_one_request_makes_three_pictures_with_seeds_of_their_own(client, catalogue):
    codes = [one["code"] for one in three(client)]
    rows = list(Job.objects.order_by("pk"))
    assert [job.code for job in rows] == codes and len({job.seed for job in rows}) == 3
    assert all(client.get(f"/api/jobs/{code}/").json()["candidates"] == codes for code in codes)
    alone = client.post(URL, a_request(), "application/json").json()
    assert "candidates" not in alone and client.get(alone["status_url"]).json()["candidates"] == []


def test_candidates_of_a_given_seed_are_the_same_each_time(client, catalogue):
    for _ in range(2):
        client.post(URL, a_request(candidates=3, seed=2**32 - 1), "application/json")
    seeds = list(Job.objects.order_by("pk").values_list("seed", flat=True))
    assert seeds[:3] == seeds[3:] and seeds[0] == 2**32 - 1 and len(set(seeds)) == 3


@pytest.mark.parametrize("wrong", [0, 4, "many", True])
def test_a_wrong_number_of_candidates_is_refused(wrong, client, catalogue):
    answer = client.post(URL, a_request(candidates=wrong), "application/json")
    assert answer.status_code == 400 and list(answer.json()) == ["candidates"] and not Job.objects.exists()


def test_three_candidates_count_three_times_in_limits_and_all_or_none_are_made(client, catalogue, settings):
    settings.MAX_JOBS_WAITING, settings.OPEN_API = 25, False  # five for one visitor
    _, token = make_client("front-end")
    anna = {"headers": token | {"X-Visitor": "anna"}}
    three(client, **anna)
    refused = client.post(URL, a_request(candidates=3), "application/json", **anna)
    assert refused.status_code == 429 and "no room for 3 more" in refused.json()["detail"]
    assert Job.objects.count() == 3
    for _ in range(2):
        assert client.post(URL, a_request(), "application/json", **anna).status_code == 202


def test_another_visitors_picture_comes_after_the_first_of_three(client, catalogue):
    _, token = make_client("front-end")
    codes = [one["code"] for one in three(client, headers=token | {"X-Visitor": "anna"})]
    headers = token | {"X-Visitor": "bruno"}
    other = client.post(URL, a_request(), "application/json", headers=headers).json()["code"]
    turns = [Job.objects.get(pk=one.pk).code for one in queue.in_turn()]
    assert turns == [codes[0], other, *codes[1:]]


def test_one_is_kept_and_the_others_are_gone_with_their_files(client, catalogue, tmp_path):
    codes = [one["code"] for one in three(client)]
    finish(codes[0], tmp_path)
    finish(codes[1], tmp_path)
    waiting = client.post(f"/api/jobs/{codes[2]}/keep/")
    assert waiting.status_code == 409 and "no picture" in waiting.json()["detail"]
    answer = client.post(f"/api/jobs/{codes[1]}/keep/")
    assert answer.status_code == 200 and answer.json()["candidates"] == []
    assert [job.code for job in Job.objects.all()] == [codes[1]] and files() == {f"outputs/{codes[1]}.png"}
    assert client.post(f"/api/jobs/{codes[1]}/keep/").status_code == 200
    assert client.post(f"/api/jobs/{codes[0]}/keep/").status_code == 404


def test_only_the_group_is_chosen_from(client, catalogue, tmp_path):
    mine, others = three(client), three(client)
    finish(mine[0]["code"], tmp_path)
    client.post(f"/api/jobs/{mine[0]['code']}/keep/")
    assert Job.objects.filter(code__in=[one["code"] for one in others]).count() == 3


def test_a_repeated_request_is_answered_with_the_candidate_that_was_kept(client, catalogue, tmp_path):
    key = {"headers": {"Idempotency-Key": "k"}}
    codes = [one["code"] for one in three(client, **key)]
    assert [one["code"] for one in three(client, **key)] == codes and Job.objects.count() == 3
    finish(codes[2], tmp_path)
    client.post(f"/api/jobs/{codes[2]}/keep/")
    again = client.post(URL, a_request(candidates=3), "application/json", **key)
    assert again.json()["code"] == codes[2] and Job.objects.count() == 1


def test_of_two_candidates_kept_at_once_one_is_left(catalogue, tmp_path):
    codes = [one["code"] for one in three(Browser())]
    jobs = [finish(code, tmp_path) for code in codes[:2]]
    barrier, told = threading.Barrier(2), []

    def keep(job):
        try:
            barrier.wait(30)
            choosing.keep(job)
            told.append("kept")
        except choosing.CantKeep:
            told.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=keep, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(told) == ["kept", "refused"] and Job.objects.count() == 1
    assert Job.objects.get().status == "succeeded"


def test_a_choice_that_was_cut_off_is_finished_later(client, catalogue, tmp_path):
    codes = [one["code"] for one in three(client)]
    Job.objects.filter(code__in=codes[1:]).update(group=Job.NOT_CHOSEN)  # its process has died here
    with pytest.raises(choosing.CantKeep):
        choosing.keep(finish(codes[1], tmp_path))
    deletion.delete_expired()
    assert [job.code for job in Job.objects.all()] == codes[:1]


def test_a_candidate_is_cancelled_and_deleted_as_any_job(client, catalogue):
    codes = [one["code"] for one in three(client)]
    assert client.post(f"/api/jobs/{codes[0]}/cancel/").status_code == 202
    assert client.delete(f"/api/jobs/{codes[1]}/").status_code == 204
    assert client.get(f"/api/jobs/{codes[2]}/").json()["candidates"] == [codes[0], codes[2]]


# --- the face alone -----------------------------------------------------------------------------------------


@pytest.fixture
def picture(catalogue, tmp_path) -> Job:
    """A finished picture with a face."""
    job = orders.create_job(make_order(lora=make_lora("12345678"), other_details="a red coat"))
    return finish(job.code, tmp_path)


def face_again(picture: Job, **body):
    return Browser().post(f"/api/jobs/{picture.code}/face/", body, "application/json")


def test_a_new_face_begins_with_the_last_step_on_a_copy_of_the_kept_picture(picture, tmp_path):
    assert Browser().get(f"/api/jobs/{picture.code}/").json()["can_paint_face_again"] is True
    answer = face_again(picture, seed=9)
    assert answer.status_code == 202 and answer.json()["lora_used"] is True
    again = Job.objects.get(code=answer.json()["code"])
    assert (again.first, again.progress, again.seed) == (5, 0.8, 9) and again.body.name != picture.body.name
    content = picture.body.read()
    assert Browser().delete(f"/api/jobs/{picture.code}/").status_code == 204
    folder = tmp_path / again.code
    folder.mkdir()
    request = run_generation.fill(folder, again)
    assert request.first == 5 and job_folder.newest_index(folder) == 4
    assert job_folder.picture_path(folder, 4).read_bytes() == content
    assert job_folder.read_record(job_folder.picture_path(folder, 0))["seed"] == 9


def change_place(picture: Job, own_data_folder) -> None:
    with Image.open(own_data_folder / picture.poi_image.image.name) as place:
        place.rotate(180).save(own_data_folder / picture.poi_image.image.name)


def lose_body(picture: Job, own_data_folder) -> None:
    (own_data_folder / picture.body.name).unlink()


def never_keep_body(picture: Job, own_data_folder) -> None:
    Job.objects.update(body="")  # made by the version before


def delete_place(picture: Job, own_data_folder) -> None:
    PoiImage.objects.all().delete()


def lose_mask(picture: Job, own_data_folder) -> None:
    (own_data_folder / ActionImage.objects.get(pk=picture.action_image_id).face_mask.name).unlink()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (change_place, "changed meanwhile"),
        (lose_mask, "changed meanwhile"),
        (lose_body, "no longer there"),
        (never_keep_body, "no longer there"),
        (delete_place, "deleted meanwhile"),
    ],
)
def test_where_the_earlier_steps_are_no_longer_there_the_answer_says_so(
    harm, reason, picture, own_data_folder
):
    harm(picture, own_data_folder)
    answer = face_again(picture)
    assert answer.status_code == 409 and reason in answer.json()["detail"] and Job.objects.count() == 1


def test_a_place_that_changes_while_the_face_waits_fails_the_job(picture, own_data_folder, tmp_path):
    again = Job.objects.get(code=face_again(picture).json()["code"])
    change_place(picture, own_data_folder)
    folder = tmp_path / again.code
    folder.mkdir()
    with pytest.raises(InvalidRequest, match="changed"):
        run_generation.fill(folder, again)


def test_a_picture_without_a_face_or_without_a_picture_gets_no_new_face(client, catalogue, tmp_path):
    faceless = finish(client.post(URL, a_request(), "application/json").json()["code"], tmp_path)
    waiting = orders.create_job(make_order(lora=make_lora("12345678")))
    for job, reason in ((faceless, "no face of a visitor"), (waiting, "no picture yet")):
        answer = face_again(job)
        assert answer.status_code == 409 and reason in answer.json()["detail"]
        assert client.get(f"/api/jobs/{job.code}/").json()["can_paint_face_again"] is False
    assert faceless.body.name == ""


def test_the_kept_step_is_told_and_goes_with_the_face(picture):
    face_again(picture)
    assert any(picture.body.name in line for line in kept.of("12345678"))
    assert len([name for name in files() if name.startswith("bodies/")]) == 2
    deletion.delete("12345678", "somebody")
    assert files() == set() and not Job.objects.exists()


def test_run_again_with_the_same_seed_paints_a_new_face_on_the_same_picture(picture, tmp_path):
    again = finish(face_again(picture, seed=9).json()["code"], tmp_path)
    order = choosing.same_order(again)
    assert order.seed == 9 and order.on == again
    assert choosing.same_order(picture).on is None


def test_a_face_alone_doesnt_shorten_the_estimate_of_whole_pictures(picture, tmp_path):
    before = queue.typical_seconds(Job.Kind.GENERATION)
    again = finish(face_again(picture).json()["code"], tmp_path)
    Job.objects.filter(pk=picture.pk).update(started_at=None)
    assert before is not None and queue.typical_seconds(again.kind) is None


# --- the likeness in words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("likeness", "verdict", "english", "italian"),
    [
        ({"face": True, "distance": 0.45}, "very_like", "very like", "molto simile"),
        ({"face": True, "distance": 0.46}, "somewhat_like", "somewhat like", "abbastanza simile"),
        ({"face": True, "distance": 0.61}, "not_like", "not like the photos. Try", "non somiglia"),
        ({"face": False, "distance": None}, "no_face", "No face was found", "nessun volto"),
        ({"face": True, "distance": None}, None, "", ""),
    ],
)
def test_the_likeness_is_said_in_words_and_what_to_do(
    likeness, verdict, english, italian, client, catalogue, tmp_path
):
    job = orders.create_job(make_order(lora=make_lora("12345678")))
    finish(job.code, tmp_path, **likeness)
    for language, word in (("en", english), ("it", italian)):
        told = client.get(f"/api/jobs/{job.code}/", headers={"Accept-Language": language}).json()["likeness"]
        assert told["verdict"] == verdict and likeness.items() <= told.items()
        assert word in told["message"] and bool(told["message"]) == bool(verdict)
    assert verdict is None or verdict in likeness_words.VERDICTS


@pytest.mark.parametrize("distance", [0.46, 0.61])
def test_no_sentence_advises_the_face_again_where_it_cant_be_painted(distance, client, catalogue, tmp_path):
    job = orders.create_job(make_order(lora=make_lora("12345678")))
    finish(job.code, tmp_path, face=True, distance=distance)
    advice = {"en": ("the face again", "painted anew"), "it": ("rifare solo il volto", "dipingere di nuovo")}

    def told(language: str) -> str:
        answer = client.get(f"/api/jobs/{job.code}/", headers={"Accept-Language": language}).json()
        return answer["likeness"]["message"]

    assert all(advice[language][0] in told(language) for language in advice)
    Job.objects.filter(pk=job.pk).update(body="")
    for language, (face_alone, anew) in advice.items():
        assert face_alone not in told(language) and anew in told(language)
