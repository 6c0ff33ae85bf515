"""One process per step, the same picture as the classic generator, and clear ends when a step fails."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from benchmarks.harness import ROOT
from benchmarks.harness.job_folders import make_job, same_pixels
from generation import generator, generator_classic, job_folder

pytestmark = pytest.mark.usefixtures("few_steps", "warm_starts")


@pytest.fixture(scope="module")
def whole_run(family, few_steps, warm_starts, tmp_path_factory):
    """All five steps in processes of their own: the folder and the events."""
    job = make_job(tmp_path_factory.mktemp("jobs") / "12345678", lora=family / "lora.safetensors")
    events = []
    picture = generator.generate(job, events.append)
    return job, picture, events


def test_every_step_leaves_its_picture(whole_run):
    job, picture, _ = whole_run
    names = ["0-background", "1-pose", "2-detail", "3-detail", "4-harmonize", "5-face"]
    assert sorted(path.stem for path in job.glob("?-*.png")) == names
    assert picture == job / "unmarked.png"
    assert not list(job.glob("*.tmp"))


def test_every_step_is_a_process_of_its_own_and_says_what_it_took(whole_run):
    events = whole_run[2]
    assert events[0] == {"event": "plan", "steps": ["pose", "detail", "detail", "harmonize", "face"]}
    reports = [event for event in events if event["event"] == "step"]
    assert [(r["index"], r["step"]) for r in reports] == list(enumerate(events[0]["steps"], 1))
    assert len({r["pid"] for r in reports} | {os.getpid()}) == 6
    for report in reports:
        assert "import_seconds" in report and report["load_seconds"] > 0 and report["inference_seconds"] > 0
        assert report["peak_rss_mb"] > 100 and "peak_gpu_mb" in report


def test_progress_counts_to_the_end_of_each_step(whole_run):
    events = whole_run[2]
    for index in range(1, 6):
        counted = [e["done"] for e in events if e["event"] == "progress" and e["index"] == index]
        assert counted == list(range(1, len(counted) + 1)) and counted


def test_classic_makes_the_same_picture_pixel_for_pixel(whole_run, family, tmp_path):
    job = make_job(tmp_path / "12345678", lora=family / "lora.safetensors")
    assert same_pixels(generator_classic.generate(job), whole_run[1])


def test_workers_that_do_a_part_of_the_steps_each_make_the_same_picture(whole_run, family, tmp_path):
    job = make_job(tmp_path / "12345678", lora=family / "lora.safetensors")
    for served, other in ((("pose", "detail"), "harmonize"), (("harmonize",), "face")):
        with pytest.raises(generator.NotServed) as handed_on:
            generator.generate(job, served=served)
        assert handed_on.value.step == other
    assert same_pixels(generator.generate(job, served=["face"]), whole_run[1])


def test_the_picture_tells_how_it_was_made_but_not_of_whom(whole_run):
    record = job_folder.read_record(whole_run[1])
    assert set(record) == {"seed", "steps"} and record["seed"] == 7
    assert [step["step"] for step in record["steps"]] == ["pose", "detail", "detail", "harmonize", "face"]
    assert all(step["models"] and step["versions"]["diffusers"] for step in record["steps"])
    told = {name for step in record["steps"] for name in step}
    assert told == {"step", "index", "seed", "models", "versions"}
    with Image.open(whole_run[1]) as picture:
        assert set(picture.text) == {"cartolina", "seed"}
    for private in (b"red coat", b"adult woman", b"12345678", b"87654321"):
        assert private not in whole_run[1].read_bytes()


def test_a_cut_off_generation_goes_on_from_its_newest_picture(whole_run, family, tmp_path):
    job = make_job(tmp_path / "12345678", lora=family / "lora.safetensors")
    for name in ("0-background", "1-pose", "2-detail", "3-detail", "4-harmonize"):
        (job / f"{name}.png").write_bytes((whole_run[0] / f"{name}.png").read_bytes())
    events = []
    assert same_pixels(generator.generate(job, events.append), whole_run[1])
    assert [e["step"] for e in events if e["event"] == "step"] == ["face"]


# Tests with other settings or models are last, since each of them needs a template of its own.


def test_both_generators_give_a_large_background_back_at_its_size(family, tmp_path):
    jobs = [make_job(tmp_path / name, size=(1000, 800)) for name in ("one", "classic")]
    one, classic = generator.generate(jobs[0]), generator_classic.generate(jobs[1])
    with Image.open(one) as picture:
        assert picture.size == (1000, 800)
    assert same_pixels(one, classic)
    assert job_folder.read_record(one) == job_folder.read_record(job_folder.picture_path(jobs[0], 4))


def test_a_picture_can_be_had_at_the_models_size(family, tmp_path, monkeypatch):
    monkeypatch.setenv("FULL_SIZE", "0")
    job = make_job(tmp_path / "small", size=(1000, 800))
    with Image.open(generator.generate(job)) as picture:
        assert picture.size == job_folder.read_step_picture(job, 4).size


def test_a_step_that_fails_says_why(family, tmp_path, monkeypatch):
    monkeypatch.setenv("CONTROLNET_MODEL", str(tmp_path / "nowhere"))
    job = make_job(tmp_path / "job")
    with pytest.raises(generator.StepFailed, match="nowhere") as caught:
        generator.generate(job)
    assert caught.value.step == "pose"
    assert sorted(path.name for path in job.glob("?-*.png")) == ["0-background.png"]


def test_a_step_out_of_turn_is_refused(tmp_path):
    job = make_job(tmp_path / "job")
    command = [sys.executable, "-m", "generation.steps", "harmonize", str(job)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "next step is pose" in done.stderr.splitlines()[-1]


@pytest.fixture
def without_django(tmp_path):
    """An environment in which Django and all that needs it can't be imported."""
    for name in ("django", "rest_framework"):
        (tmp_path / "hide" / name).mkdir(parents=True)
        (tmp_path / "hide" / name / "__init__.py").write_text("raise ImportError('not installed')")
    return os.environ | {"PYTHONPATH": str(tmp_path / "hide")}


def test_the_command_line_works_without_django(family, tmp_path, without_django):
    job = make_job(tmp_path / "mine")
    (job / "request.json").rename(job / "wish.json")
    working = tmp_path / "work"
    command = [
        sys.executable,
        "-m",
        "generation.generator",
        str(job / "wish.json"),
        "--tmp-data",
        str(working),
    ]
    done = subprocess.run(command, cwd=ROOT, env=without_django, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(job / "wish.png")
    with Image.open(job / "wish.png") as picture:
        assert picture.size == (256, 256)
    assert not list(working.iterdir())


@pytest.mark.parametrize("wrong", ["{", "[]", json.dumps({"code": "1"})])
def test_the_command_line_refuses_a_broken_request_and_leaves_nothing(wrong, tmp_path):
    (tmp_path / "wish.json").write_text(wrong)
    working = tmp_path / "work"
    command = [
        sys.executable,
        "-m",
        "generation.generator",
        str(tmp_path / "wish.json"),
        "--tmp-data",
        str(working),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stderr.strip()
    assert not list(working.iterdir())
