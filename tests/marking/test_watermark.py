"""The watermark: hidden, found again after changes, never found where it isn't, and gone with its picture."""

from __future__ import annotations

import random

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from PIL import Image

from benchmarks import watermark as bench
from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_job
from benchmarks.measures import psnr
from diffuser_api.jobs import deletion, run_generation, runner, status_changes
from diffuser_api.marking import finish
from diffuser_api.models import Job
from diffuser_api.photos.pictures import as_png
from generation import job_folder
from generation.marking import watermark
from generation.miniature.world import scenes
from generation.miniature.world.pen import View
from generation.request import GenerationRequest

pytestmark = pytest.mark.slow  # marks are put, and looked for at all scales
REFERENCE = 0x0123_4567_89AB_CDEF
OTHERS = [random.Random(7).getrandbits(watermark.BITS) for _ in range(300)]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return bench.part_of_photograph(random.Random(4))


@pytest.fixture(scope="module")
def marked(picture) -> Image.Image:
    return watermark.put(picture, REFERENCE)


def found(picture: Image.Image, references: list[int]) -> int | None:
    """At the first scale at which one is found: each takes a while."""
    places = (watermark.find([numbers], references) for numbers in watermark.read(picture))
    return next((references[place] for place in places if place is not None), None)


@pytest.mark.parametrize("change", ["JPEG 50", "scaled to 0.5", "cropped to 0.8 x 0.8"])
def test_a_mark_is_found_again_after_a_change(marked, change):
    assert found(bench.CHANGES[change](marked), [*OTHERS, REFERENCE]) == REFERENCE


def test_a_mark_changes_a_picture_a_little_and_a_tiny_one_not_at_all(picture, marked):
    assert marked.size == picture.size and 36 < psnr(marked, picture) < 60
    tiny = picture.resize((40, 40))
    assert np.array_equal(np.asarray(watermark.put(tiny, REFERENCE)), np.asarray(tiny))
    assert list(watermark.read(tiny)) == [] and watermark.find([], OTHERS) is None


def test_a_picture_gets_no_stronger_mark_than_it_needs(picture, marked):
    """A photograph hides a mark well. In a flat drawing, a weak one is lost with the first compression."""
    drawing = scenes.draw_scene(scenes.random_scene(scenes.HELD_OUT), View(pixels=256))
    strong = watermark.put(drawing, REFERENCE)
    assert psnr(strong, drawing) < 40 and psnr(marked, picture) > 43
    assert found(bench.CHANGES["JPEG 75"](strong), [*OTHERS, REFERENCE]) == REFERENCE


def test_a_picture_without_a_mark_and_one_with_another_s_has_none_of_ours(picture, marked):
    assert found(picture, [*OTHERS, REFERENCE]) is None
    seen = [next(watermark.read(marked))]
    assert watermark.find(seen, OTHERS) is watermark.find(seen, []) is None


def test_the_bound_on_chance_holds_for_random_references_whatever_the_decoder_sees():
    rng = np.random.default_rng(3)
    for numbers in (rng.normal(1, 1, 64), rng.exponential(1, 64), np.ones(64), np.eye(64)[0] * 50):
        agreements = rng.choice((-1.0, 1.0), (20_000, 64)) @ numbers
        for share in (0.1, 0.01, 0.001):
            height = float(np.quantile(agreements, 1 - share))
            seen = float(np.mean(agreements >= height))
            assert watermark.chance(height, numbers) >= 0.8 * seen
    # and it tells something: of 64 sure bits, all are right by chance less than once in 10 ** 18
    assert watermark.chance(64.0, np.ones(64)) < 1e-18 and watermark.chance(0.0, np.ones(64)) == 1.0


def test_more_references_need_a_better_match():
    rng = random.Random(1)
    numbers = watermark.signs([REFERENCE])[0]
    numbers[rng.sample(range(64), 9)] *= -1  # 55 of 64 bits are right
    assert watermark.find([numbers], [REFERENCE]) == 0
    assert watermark.find([numbers], [rng.getrandbits(64) for _ in range(50_000)] + [REFERENCE]) is None


@pytest.fixture
def row(db, picture, settings, tmp_path) -> tuple[Job, bytes]:
    """A finished job, and its picture as a screenshot of it would be."""
    settings.STUDIO = True
    make_catalogue()
    job = status_changes.claim(make_job().code)
    job.mark = f"{REFERENCE:016x}"
    (tmp_path / "p.png").write_bytes(as_png(picture))
    assert status_changes.finish_generation(job, tmp_path / "p.png")
    return Job.objects.get(pk=job.pk), as_png(watermark.put(picture, REFERENCE))


def verify(content: bytes, browser=None, path="/api/verify/"):
    return (browser or Browser()).post(path, {"image": SimpleUploadedFile("x", content)})


def test_a_picture_without_metadata_is_known_by_its_watermark_and_says_not_whose_it_is(row):
    job, content = row
    answer = verify(content)
    told = answer.json()
    assert (told["result"], told["watermark"]) == ("watermark", True)
    assert told["made_at"] == job.finished_at.isoformat(timespec="seconds")
    assert job.code not in answer.content.decode() and job.mark not in answer.content.decode()
    plain = verify(as_png(Image.effect_noise((96, 96), 60).convert("RGB"))).json()
    assert (plain["result"], plain["watermark"]) == ("nothing", False)


def test_only_staff_learn_the_picture_s_code(row, admin_client):
    job, content = row
    page = verify(content, path="/verify/").content.decode()
    assert "carries the watermark" in page and job.code not in page
    assert job.code in verify(content, admin_client, "/verify/").content.decode()


def test_the_reference_goes_with_the_picture(row):
    job, content = row
    assert job.mark not in Browser().get(f"/api/jobs/{job.code}/").content.decode()
    deletion.take_down(job.code, "operator")
    assert verify(content).json()["result"] == "nothing"
    assert not Job.objects.filter(mark=job.mark).exists()


def test_a_finished_picture_carries_the_reference_and_its_steps_stay_as_they_are(tmp_path, picture):
    (tmp_path / "background.jpg").write_bytes(b"the place")
    Image.new("L", (256, 256)).save(tmp_path / "f.png")
    job_folder.write_picture(picture, tmp_path / "4-harmonize.png", {"seed": 5, "steps": []})
    files = {"background": "background.jpg", "skeleton": "s", "subject_mask": "m", "face_mask": "f.png"}
    words = dict.fromkeys(("action_description", "other_details", "place_description"), "x")
    person = {"age": "adult", "gender": "woman"}
    request = GenerationRequest(code="12345678", profile="miniature", seed=5, **files, **words, **person)
    path = finish.finish(tmp_path, tmp_path / "4-harmonize.png", request, REFERENCE)
    with Image.open(path) as finished:
        assert found(finished, [*OTHERS, REFERENCE]) == REFERENCE
    assert np.array_equal(np.asarray(job_folder.read_step_picture(tmp_path, 4)), np.asarray(picture))


@pytest.mark.parametrize("is_on", [True, False])
def test_the_job_s_row_holds_the_reference_if_the_setting_is_on(
    catalogue, picture, settings, monkeypatch, is_on
):
    settings.WATERMARK = is_on
    job = status_changes.claim(make_job().code)

    def painted(folder, *_):
        job_folder.write_picture(picture, folder / "4-harmonize.png", {"seed": 1, "steps": []})
        return folder / "4-harmonize.png"

    monkeypatch.setattr(run_generation.generator, "generate", painted)
    runner.run(job)
    row = Job.objects.get(pk=job.pk)
    assert row.status == Job.Status.SUCCEEDED and bool(row.mark) == is_on
    with Image.open(row.output.path) as finished:
        if is_on:
            assert found(finished, [*OTHERS, int(row.mark, 16)]) == int(row.mark, 16)
        else:  # but for the label
            assert np.array_equal(np.asarray(finished)[:200, :200], np.asarray(picture)[:200, :200])
