"""The catalogue in the language of its reader, while names and prompts stay what they are."""

import json
import re

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client as Browser
from django.utils import translation

from benchmarks.harness.admin_forms import management
from benchmarks.harness.catalogue import _drawn, make_catalogue, png_file
from benchmarks.harness.clients import make_order
from diffuser_api.api.schema import Generator
from diffuser_api.jobs import orders, run_generation
from diffuser_api.models import Action, Job, Poi, PoiImage, PostcardLayout
from tests.catalogue.test_catalogue_zip import clear, exported, parts_of, transfer, zipped
from tests.jobs.test_migrations import migrate_to, migrate_to_the_newest
from tests.studio.test_studio_visitors import ask, come, finish, open_studio  # noqa: F401

ITALIAN = {"Accept-Language": "it"}
DESK = "/admin/diffuser_api"


@pytest.fixture
def catalogue(db):
    """With Italian words for one place, picture and action."""
    place = make_catalogue()
    Poi.objects.update(translations={"it": {"name": "La piazza"}})
    words = {"name": "a mezzogiorno", "description": "piazza al sole"}
    PoiImage.objects.filter(name="noon").update(translations={"it": words})
    words = {"name": "fare ciao", "description": "fare ciao con una mano alzata"}
    Action.objects.filter(name="waving").update(translations={"it": words})
    return place


def test_editors_write_names_and_descriptions_for_each_language(admin_client):
    body = management(TOTAL_FORMS="1", MAX_NUM_FORMS="1000") | {"name": "Lake", "name_it": " Lago "}
    body |= {"images-0-name": "noon", "images-0-name_it": "mezzogiorno", "images-0-description": "a lake"}
    body |= {"images-0-description_it": "un lago", "images-0-image": png_file(_drawn()["place"], "lake")}
    assert admin_client.post(f"{DESK}/poi/add/", body).status_code == 302
    place, image = Poi.objects.get(), PoiImage.objects.get()
    assert place.name == "Lake" and place.translations == {"it": {"name": "Lago"}}
    assert image.translations == {"it": {"name": "mezzogiorno", "description": "un lago"}}
    page = admin_client.get(f"{DESK}/poi/{place.pk}/change/").content.decode()
    assert re.search(r'name="name_it"[^>]*class="vTextField"', page)  # as wide as the name itself
    italian = admin_client.get(f"{DESK}/poi/{place.pk}/change/", headers=ITALIAN).content.decode()
    assert '<span class="inline_label">mezzogiorno</span>' in italian
    assert 'value="Lago"' in page and 'value="un lago"' in page
    body = management(TOTAL_FORMS="0") | {"name": "bowing", "description": "bowing", "name_it": "inchino"}
    assert admin_client.post(f"{DESK}/action/add/", body).status_code == 302
    assert Action.objects.get().translations == {"it": {"name": "inchino"}}
    body = {
        "name": "summer",
        "name_it": "estate",
        "style": "framed",
        "logo_corner": "top-left",
        "position": 0,
    }
    assert admin_client.post(f"{DESK}/postcardlayout/add/", body).status_code == 302
    assert PostcardLayout.objects.get().translations == {"it": {"name": "estate"}}
    body |= {"name_it": "x" * 101}
    page = admin_client.post(f"{DESK}/postcardlayout/{PostcardLayout.objects.get().pk}/change/", body)
    assert page.status_code == 200 and "at most 100 characters" in page.content.decode()


def test_the_api_shows_labels_in_the_callers_language_and_takes_the_names(client, catalogue, settings):
    settings.OPEN_API = True
    for headers, place, image, action in (
        ({}, "Piazza", "noon", "waving"),
        (ITALIAN, "La piazza", "a mezzogiorno", "fare ciao"),
    ):
        [told] = client.get("/api/pois/", headers=headers).json()
        assert (told["name"], told["label"]) == ("Piazza", place)
        assert image in {shown["label"] for shown in told["images"]}
        assert {shown["name"] for shown in told["images"]} == {"noon", "dusk"}
        told = {row["name"]: row for row in client.get("/api/actions/", headers=headers).json()}
        assert told["waving"]["label"] == action and told["waving"]["description"].startswith(action)
        assert told["sitting"]["label"] == "sitting"  # nobody has translated it
    asked = {"poi_name": "Piazza", "poi_image": "noon", "action_name": "waving", "action_shot_type": "MES"}
    asked |= {"age": "adult", "gender": "man"}
    answer = client.post("/api/generate-image/", asked, content_type="application/json", headers=ITALIAN)
    assert answer.status_code == 202 and answer.json()["action"] == "waving"


def test_the_prompt_is_english_whatever_the_reader_speaks(catalogue, tmp_path):
    place, shot = PoiImage.objects.get(name="noon"), Action.objects.get(name="waving").images.first()
    with translation.override("it"):
        job = orders.create_job(make_order(poi_image=place, action_image=shot))
        request = run_generation.fill(tmp_path, job)
    assert request.place_description == "sunny town square"
    assert request.action_description == "waving with one hand raised"


def test_captions_and_poses_are_italian_on_italian_pages(catalogue, tmp_path):
    anna, _, _ = come()
    place = PoiImage.objects.get(name="noon").pk
    job = finish(ask(anna, catalogue, place=place, garment="coat", colour="red", clothes="a hat"), tmp_path)
    form, mine, picture = (
        anna.get(path, headers=ITALIAN).content.decode()
        for path in ("/postcard/", "/pictures/", f"/jobs/{job.code}/")
    )
    assert "<b>La piazza</b>" in form and "a mezzogiorno" in form and "<b>fare ciao</b>" in form
    assert "<b>waving</b>" not in form and 'value="waving"' in form
    assert "La piazza" in mine and "fare ciao" in mine and "waving" not in mine
    assert 'cappotto color rosso, <span lang="en">a hat</span>' in picture and "waving" not in picture
    assert "red coat" in anna.get(f"/jobs/{job.code}/", headers={"Accept-Language": "en"}).content.decode()
    Job.objects.update(action_image=None)  # the action is gone: its name is all that is left
    assert "waving" in anna.get("/pictures/", headers=ITALIAN).content.decode()


def test_an_action_is_said_in_italian_on_italian_pages(client, catalogue, settings):
    anna, _, _ = come()
    said = {"words": "faccio ciao agli amici con la mano", "shot": "MES"}
    assert "Cioè <b>fare ciao</b>." in anna.get("/postcard/figure/", said, headers=ITALIAN).content.decode()
    form = anna.get("/postcard/", headers=ITALIAN).content.decode()
    assert "salto di gioia" in form and "jumping for joy" not in form
    settings.OPEN_API = True
    asked = {
        "poi_name": "Piazza",
        "poi_image": "noon",
        "action_shot_type": "MES",
        "age": "adult",
        "gender": "man",
    }
    asked |= {"dynamic_action_selection": True, "action_prompt": "seduta per terra"}
    answer = client.post("/api/generate-image/", asked, content_type="application/json", headers=ITALIAN)
    assert answer.json()["action"] == "sitting" and answer.json()["action_score"] > 0.3


def test_a_zip_carries_translations_and_one_without_them_changes_none(catalogue):
    content = exported()
    clear()
    transfer.read(zipped(parts_of(content)))
    assert Poi.objects.get().translations == {"it": {"name": "La piazza"}}
    assert Action.objects.get(name="waving").translations["it"]["name"] == "fare ciao"
    assert PoiImage.objects.get(name="noon").translations["it"]["description"] == "piazza al sole"
    parts = parts_of(content)
    index = json.loads(parts["catalogue.json"])
    for entry in (*index["places"], *index["places"][0]["images"], *index["actions"]):
        entry.pop("translations", None)
    done = transfer.read(zipped(parts | {"catalogue.json": json.dumps(index).encode()}))
    assert done.changed == 0 and Poi.objects.get().translations == {"it": {"name": "La piazza"}}


@pytest.mark.parametrize(
    "wrong", ["x", ["it"], {"it": "Lago"}, {"it": {"name": 5}}, {"it": {"name": "x" * 101}}]
)
def test_translations_of_a_zip_that_are_none_are_refused(wrong, catalogue):
    parts = parts_of(exported())
    index = json.loads(parts["catalogue.json"])
    index["places"][0]["translations"] = wrong
    done = transfer.read(zipped(parts | {"catalogue.json": json.dumps(index).encode()}))
    assert done.left_out and Poi.objects.get().translations == {"it": {"name": "La piazza"}}


@pytest.mark.slow  # migrates there and back
def test_rows_of_earlier_versions_stay_as_they_were_and_the_demos_learn_italian(transactional_db):
    migrate_to("0016_from_near_to_far")
    state = MigrationExecutor(connection).loader.project_state([("diffuser_api", "0016_from_near_to_far")])
    old = state.apps.get_model("diffuser_api", "Action")
    old.objects.create(name="jumping", description="jumping in the air with arms raised")
    old.objects.create(name="bowing", description="bowing deeply")
    migrate_to_the_newest()
    with translation.override("it"):
        assert {action.shown_name for action in Action.objects.all()} == {"jumping", "bowing"}
    Action.objects.create(name="waving", description="x", translations={"it": {"name": "salutare"}})
    call_command("load_demo", verbosity=0)
    with translation.override("it"):
        shown = {action.name: action.shown_name for action in Action.objects.all()}
        assert (shown["jumping"], shown["bowing"], shown["waving"]) == ("saltare", "bowing", "salutare")
        untranslated = [row.name for row in PoiImage.objects.all() if row.shown_name == row.name]
        untranslated += [
            row.name for row in PoiImage.objects.all() if row.shown_description == row.description
        ]
    assert untranslated == []


def test_dates_are_written_as_italians_write_them(catalogue, tmp_path):
    anna, _, _ = come()
    finish(ask(anna, catalogue), tmp_path)
    Job.objects.update(created_at="2026-11-07T09:05:00Z", finished_at="2026-11-07T09:05:00Z")
    assert ", 7 novembre 2026" in anna.get("/pictures/", headers=ITALIAN).content.decode()
    assert "Nov. 7, 2026" in anna.get("/pictures/").content.decode()


def test_the_api_reference_is_english_for_italians_too(catalogue, monkeypatch):
    monkeypatch.setattr(Generator, "made", [])
    first, second = (
        Browser().get("/api/schema/?format=json", headers=headers).content for headers in (ITALIAN, {})
    )
    assert first == second and "da vicino" not in first.decode()
