"""A picture in which the visitor isn't recognised is painted again, and the best of all is kept."""

import json

import pytest
from PIL import Image, ImageChops

from benchmarks.harness.clients import make_job as make_row
from benchmarks.harness.job_folders import make_job, same_pixels
from diffuser_api.api.job_serializer import JobSerializer
from diffuser_api.jobs import run_generation, status_changes
from diffuser_api.models import Job
from generation import generator, generator_classic, job_folder, repaint
from generation.models import safety
from generation.models.profiles import get_profile
from generation.request import GenerationRequest, InvalidRequest
from generation.vision import likeness
from studio import sentences

pytestmark = pytest.mark.usefixtures("few_steps")
GOOD, STRANGER, FACELESS = (
    {"face": True, "distance": 0.4},
    {"face": True, "distance": 0.8},
    {"face": False, "distance": None},
)


UNKNOWN = GOOD | {"distance": None}


@pytest.mark.parametrize(
    ("seen", "first"), [(GOOD, None), (STRANGER, 5), (FACELESS, 1), (None, None), (UNKNOWN, None)]
)
def test_a_strangers_face_is_painted_again_and_a_picture_without_a_face_as_a_whole(seen, first):
    assert repaint.first_step(seen) == first


@pytest.fixture
def painter(family, tmp_path, monkeypatch):
    """A folder with a visitor; its pictures are painted in this process and judged by the given verdicts."""
    monkeypatch.setenv("REPAINTS", "2")

    def paint(*verdicts):
        from generation.processes import step_process

        job = make_job(tmp_path / "12345678", lora=family / "lora.safetensors", faces=[[0.0] * 128])
        left, events = list(verdicts), []
        monkeypatch.setattr(likeness, "measure", lambda *_: left.pop(0))
        monkeypatch.setattr(step_process, "send_message", events.append)

        def run_step(name, index, job, profile, tell):
            step_process.run(name, job, 0.0)

        monkeypatch.setattr(generator, "run_step", run_step)
        picture = generator.generate(job, events.append)
        return job, picture, [e for e in events if e.get("event") == "again"], events

    return paint


def seeds(picture) -> list[int]:
    return [step["seed"] for step in job_folder.read_record(picture)["steps"]]


def test_a_good_picture_is_painted_once(painter):
    job, picture, again, _ = painter(GOOD)
    assert again == [] and seeds(picture) == [8, 9, 10, 11, 12] and not list(job.glob("try-*"))


def test_a_strangers_face_is_painted_with_the_next_seed_on_the_same_body(painter):
    _, picture, again, events = painter(STRANGER, GOOD)
    assert [(e["number"], e["first"]) for e in again] == [(1, 5)] and "0.8" in again[0]["reason"]
    assert seeds(picture) == [8, 9, 10, 11, 13]
    assert [e["again"] for e in events if e.get("step") == "face" and "seed" in e and "again" in e] == [1]
    assert job_folder.read_record(picture)["seed"] == 7


def test_a_picture_without_a_face_is_painted_again_as_a_whole(painter):
    _, picture, again, _ = painter(FACELESS, STRANGER, GOOD)
    assert [e["first"] for e in again] == [1, 5]
    assert seeds(picture) == [9, 10, 11, 12, 14]


def test_after_two_more_the_best_is_kept(painter):
    better = {"face": True, "distance": 0.7}
    job, picture, again, _ = painter(STRANGER, better, FACELESS)
    assert len(again) == 2 and seeds(picture) == [8, 9, 10, 11, 13]
    repaint.keep_best(job)  # as after an interruption
    assert seeds(picture) == [8, 9, 10, 11, 13]


def test_an_interrupted_repaint_goes_on_where_it_was(painter, monkeypatch):
    job, picture, _, _ = painter(STRANGER, GOOD)
    whole = picture.read_bytes()
    job_folder.picture_path(job, 5).unlink()
    (job / "likeness.json").unlink()
    monkeypatch.setattr(likeness, "measure", lambda *_: GOOD)
    assert generator.generate(job).read_bytes() == whole


def test_the_classic_generator_paints_the_same_picture_again(painter, family, tmp_path, monkeypatch):
    _, picture, _, _ = painter(FACELESS, GOOD)
    left = [FACELESS, GOOD]
    monkeypatch.setattr(likeness, "measure", lambda *_: left.pop(0))
    job = make_job(tmp_path / "classic", lora=family / "lora.safetensors", faces=[[0.0] * 128])
    classic = generator_classic.generate(job)
    assert same_pixels(classic, picture) and seeds(classic) == seeds(picture)


@pytest.fixture
def refused(family, tmp_path, monkeypatch):
    """Pictures of the same request again, by either generator. The safety check refuses one picture."""

    def paint(generate, picture, *verdicts):
        def check(painted, profile):
            with Image.open(picture) as forbidden:
                if painted.tobytes() == forbidden.tobytes():
                    raise safety.PictureRefused(safety.TEXT)

        left = list(verdicts)
        monkeypatch.setattr(likeness, "measure", lambda *_: left.pop(0))
        monkeypatch.setattr(safety, "check", check)
        job = make_job(tmp_path / "judged", lora=family / "lora.safetensors", faces=[[0.0] * 128])
        return generate(job)

    return paint


@pytest.mark.parametrize("generate", [generator.generate, generator_classic.generate])
def test_a_refused_repaint_leaves_the_picture_that_was_painted_before(generate, painter, refused):
    job, *_ = painter(STRANGER, GOOD)
    kept = refused(generate, job / job_folder.UNMARKED, STRANGER, GOOD)
    assert same_pixels(kept, job / "try-0-unmarked.png") and seeds(kept) == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("generate", [generator.generate, generator_classic.generate])
def test_a_first_picture_that_is_refused_is_not_painted_again(generate, painter, refused):
    job, *_ = painter(STRANGER, GOOD)
    with pytest.raises(safety.PictureRefused):
        refused(generate, job / "try-0-unmarked.png", STRANGER, GOOD)


def test_the_job_says_that_it_is_painted_again_and_whose_face_was_kept(catalogue):
    class Lease:
        check = staticmethod(lambda: None)
        set_limit = staticmethod(lambda *_: None)

    job = status_changes.claim(make_row().code)
    for event in (
        {"event": "step", "step": "face", "index": 5, "likeness": STRANGER},
        {"event": "again", "number": 1, "first": 5, "reason": repaint.reason(STRANGER)},
        {"event": "step", "step": "face", "index": 5, "likeness": FACELESS, "again": 1},
    ):
        run_generation.follow(job, event, Lease)
    job = Job.objects.get(pk=job.pk)
    assert "with the next seed: the face isn't the visitor's (distance 0.8" in job.log
    assert "once more" in sentences.state(job, None)
    kept = JobSerializer().get_likeness(job)
    assert STRANGER.items() <= kept.items() and kept["verdict"] == "not_like"
    assert json.loads(json.dumps(job.timings))[-1]["again"] == 1


def test_the_kept_body_is_the_one_of_the_best_face(painter):
    """The last picture was painted as a whole, on another body, but the first one's face is better."""
    job, picture, again, _ = painter(STRANGER, FACELESS, {"face": True, "distance": 0.9})
    assert [e["first"] for e in again] == [5, 1] and seeds(picture) == [8, 9, 10, 11, 12]
    for _ in range(2):  # also after an interruption
        assert seeds(job_folder.picture_path(job, 4)) == [8, 9, 10, 11]
        repaint.keep_best(job)


class Killed(Exception):
    pass


@pytest.fixture
def sketcher(tmp_path, monkeypatch):
    """As ``painter``, but a step paints one colour, which follows from the step and the seed. The first two
    pictures are of the given verdicts, each later one is the visitor."""
    monkeypatch.setenv("REPAINTS", "2")
    (tmp_path / "lora").write_bytes(b"x")
    job = make_job(tmp_path / "12345678", lora=tmp_path / "lora", faces=[[0.0] * 128])

    def run_step(name, index, job, profile, tell):
        seed = GenerationRequest.load(job).seed
        told = job_folder.read_record(job_folder.picture_path(job, index - 1))
        told["steps"].append({"step": name, "seed": seed})
        if name == "face":
            job_folder.write_likeness(job, {7: FACELESS, 8: STRANGER}.get(seed, GOOD))
        picture = Image.new("RGB", (256, 256), (seed, index, 0))
        if name == "face":
            job_folder.write_picture(picture, job / job_folder.UNMARKED, told)
        job_folder.write_picture(picture, job_folder.picture_path(job, index), told)

    monkeypatch.setattr(generator, "run_step", run_step)
    return job


@pytest.mark.parametrize("cut", range(9))
def test_a_kill_between_any_two_renames_of_a_new_try_costs_no_picture(cut, sketcher, monkeypatch):
    """Two tries are begun: the whole picture, then the face."""
    replace, begin, left = repaint.os.replace, repaint.begin, iter(range(100))

    def kill(source, target):
        if next(left) == cut:
            raise Killed
        replace(source, target)

    def cut_off(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(repaint.os, "replace", kill)
            return begin(*arguments)

    monkeypatch.setattr(repaint, "begin", cut_off)
    with pytest.raises(Killed):
        generator.generate(sketcher)
    picture = generator.generate(sketcher)  # the worker's next attempt
    assert [step["seed"] for step in job_folder.read_record(picture)["steps"]] == [8, 8, 8, 8, 9]
    assert json.loads((sketcher / "likeness.json").read_text()) == GOOD


@pytest.fixture
def new_face(painter, family, tmp_path, monkeypatch):
    """A new face with another seed on the body of a finished picture: the first picture, and the new one."""

    def paint(*verdicts):
        job, picture, *_ = painter(GOOD)
        left = list(verdicts)
        monkeypatch.setattr(likeness, "measure", lambda *_: left.pop(0))
        changes = {"faces": [[0.0] * 128], "seed": 70, "first": 5}
        new = make_job(tmp_path / "87654321", lora=family / "lora.safetensors", **changes)
        body = new / "kept-picture.png"
        body.write_bytes(job_folder.picture_path(job, 4).read_bytes())
        request = GenerationRequest.load(new)
        repaint.begin_with_face(new, request, get_profile(request.profile), body)
        return picture, generator.generate(new), new

    return paint


def test_a_new_face_changes_the_face_alone_and_the_picture_tells_both_seeds(new_face):
    first, second, new = new_face(GOOD)
    assert seeds(second) == [8, 9, 10, 11, 75] and not job_folder.picture_path(new, 3).exists()
    canvas = job_folder.read_canvas(new, GenerationRequest.load(new), get_profile("miniature"))
    with Image.open(first) as before, Image.open(second) as after:
        changed = ImageChops.difference(before, after).convert("L").getbbox()
    left, top, right, bottom = canvas.face_mask.getbbox()
    feather = 2 * get_profile("miniature").feather
    assert changed and changed[0] >= left - feather and changed[1] >= top - feather
    assert changed[2] <= right + feather and changed[3] <= bottom + feather


def test_a_new_face_that_isnt_found_is_painted_again_on_the_same_body(new_face):
    _, second, _ = new_face(FACELESS, GOOD)
    assert seeds(second) == [8, 9, 10, 11, 76]


def test_a_body_of_another_size_is_refused(tmp_path):
    job = make_job(tmp_path / "12345678", seed=7)
    request = GenerationRequest.load(job)
    Image.new("RGB", (64, 64)).save(tmp_path / "body.png")
    with pytest.raises(InvalidRequest, match="another size"):
        repaint.begin_with_face(job, request, get_profile(request.profile), tmp_path / "body.png")
    (tmp_path / "body.png").write_bytes(b"no picture")
    with pytest.raises(InvalidRequest, match="can't be read"):
        repaint.begin_with_face(job, request, get_profile(request.profile), tmp_path / "body.png")
