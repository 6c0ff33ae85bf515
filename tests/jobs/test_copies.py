"""With STORAGE_URL, what a worker has done of a job is in the storage too: another one goes on from it."""

import os

import pytest
from django.core.files.storage import default_storage
from django.test import Client as Browser
from PIL import Image

from benchmarks.harness.clients import make_job, make_lora, make_training
from diffuser_api import storage
from diffuser_api.jobs import deletion, folders, run_generation, runner, status_changes, sweep, working_files
from diffuser_api.jobs.copies import Copies
from diffuser_api.models import Client, Job
from diffuser_api.photos.pictures import as_png
from generation import job_folder, repaint
from generation.models.profiles import MINIATURE
from studio import visitors

PICTURE = as_png(Image.new("RGB", (64, 64), "teal"))


@pytest.fixture(autouse=True)
def shared_storage(settings):
    """Where the files are makes no difference here: a folder is faster than a server."""
    settings.BUCKET = {"bucket_name": "none"}


@pytest.fixture
def elsewhere(settings, tmp_path):
    """From now on, this process is on another machine."""

    def go(name: str = "elsewhere") -> None:
        for setting in ("TMP_DATA_DIR", "TRAINING_APP_DIR"):
            setattr(settings, setting, tmp_path / name / setting)
            getattr(settings, setting).mkdir(parents=True)

    return go


def claimed(code: str) -> Job:
    return status_changes.claim(code)


@pytest.fixture
def begun(catalogue) -> Copies:
    """Of a picture with a face that a worker has brought to its third step."""
    job = claimed(make_job(lora=make_lora("12345678")).code)
    folder = folders.make(folders.generation_folder(job.code))
    run_generation.fill(folder, job)
    for index in range(4):
        job_folder.picture_path(folder, index).write_bytes(PICTURE)
    (folder / "4-harmonize.tmp").write_bytes(b"half")
    copies = Copies(job, folder, run_generation.LORA)
    copies.store()
    return copies


def stored() -> set[str]:
    return set(working_files.stored(Job.objects.get().code))


def begin_again(job: Job):
    folder = folders.make(folders.generation_folder(job.code))
    return folder, run_generation.begun(job, folder, Copies(job, folder, run_generation.LORA))


def test_a_picture_goes_on_from_its_last_whole_step_on_another_machine(begun, elsewhere):
    before = {path.name: path.read_bytes() for path in begun.folder.iterdir()}
    assert status_changes.requeue(begun.job, attempt=1)
    elsewhere()
    folder, request = begin_again(claimed(begun.job.code))
    assert request.seed == begun.job.seed and job_folder.newest_index(folder) == 3
    del before["4-harmonize.tmp"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_folder_of_an_earlier_run_on_this_machine_is_replaced(begun, elsewhere):
    """It went elsewhere and came back, further than it was here."""
    here = begun.folder.parent
    status_changes.requeue(begun.job, attempt=1)
    elsewhere()
    job = claimed(begun.job.code)
    folder, _ = begin_again(job)
    copies = Copies(job, folder, run_generation.LORA)
    copies.fetch()
    os.replace(job_folder.picture_path(folder, 1), job_folder.picture_path(folder, 4))
    copies.store()
    status_changes.requeue(job, attempt=1)
    job = claimed(job.code)
    Copies(job, here / job.code).fetch()
    assert job_folder.newest_index(here / job.code) == 4
    assert not job_folder.picture_path(here / job.code, 1).exists()


def test_without_a_bucket_nothing_is_copied(catalogue, settings):
    settings.BUCKET = {}
    job = claimed(make_job().code)
    folder = folders.make(folders.generation_folder(job.code))
    run_generation.fill(folder, job)
    Copies(job, folder).store()
    assert not default_storage.exists(working_files.STORED) and not Job.objects.get().working_files


def test_only_what_has_changed_is_stored_again_and_what_is_replaced_is_removed(begun):
    before = dict(begun.job.working_files)
    begun.store()
    assert Job.objects.get().working_files == before and stored() == set(before.values())
    request = run_generation.unfinished_request(begun.folder)
    job_folder.write_likeness(begun.folder, {"face": False, "distance": None})
    unmarked = begun.folder / job_folder.UNMARKED
    for path in (*(job_folder.picture_path(begun.folder, index) for index in (4, 5)), unmarked):
        Image.new("RGB", (64, 64)).save(path)
    job_folder.write_picture(
        Image.new("RGB", (64, 64)), job_folder.picture_path(begun.folder, 0), {"seed": 1}
    )
    repaint.begin(begun.folder, request, 1)
    begun.store()
    after = Job.objects.get().working_files
    assert stored() == set(after.values())
    assert {name for name in after if after[name] == before.get(name)} == {
        "background.png", "skeleton.png", "subject-mask.png", "face-mask.png",
    }  # fmt: skip
    assert "1-pose.png" not in after and "try-0.png" in after and MINIATURE.name == request.profile


def test_a_set_that_is_stored_by_half_is_not_seen(begun, monkeypatch, elsewhere):
    before, save = dict(begun.job.working_files), default_storage.save
    for index in (4, 5):
        job_folder.picture_path(begun.folder, index).write_bytes(PICTURE)

    def lost(name, content):
        if "5-face" in name:
            raise storage.Away("gone")
        return save(name, content)

    monkeypatch.setattr(default_storage, "save", lost)
    begun.store_if_due(at_once=True)
    assert Job.objects.get().working_files == before
    monkeypatch.undo()
    begun.store_if_due(at_once=True)
    assert {"4-harmonize.png", "5-face.png"} < Job.objects.get().working_files.keys()


def test_a_worker_that_has_lost_the_job_stores_nothing(begun):
    before = stored()
    assert status_changes.requeue(begun.job, attempt=2)
    job_folder.picture_path(begun.folder, 4).write_bytes(PICTURE)
    begun.store()
    assert stored() == before == set(Job.objects.get().working_files.values())


@pytest.mark.parametrize("end", ["cancel", "fail", "delete", "delete the face"])
def test_copies_go_with_the_job(end, begun):
    job = begun.job
    if end == "fail":
        status_changes.fail(job, "step_failed", "it failed")
        status_changes.clear_up(job)
    else:
        Job.objects.update(worker="")  # so that nobody waits for it
        if end == "cancel":
            status_changes.cancel(job.code)
        else:
            deletion.delete(job.lora.code if end == "delete the face" else job.code, "somebody")
    assert working_files.stored(job.code) == [] and not Job.objects.exclude(working_files={}).exists()


def test_the_sweep_removes_copies_that_no_unfinished_job_needs(begun, monkeypatch):
    needed = stored()
    sweep.remove_files(writing_seconds=0)
    assert stored() == needed
    Job.objects.update(status="failed")
    sweep.remove_files(writing_seconds=0)
    assert stored() == set()


def test_a_copy_that_is_lost_lets_the_picture_begin_again(begun, elsewhere):
    default_storage.delete(begun.job.working_files["2-detail.png"])
    status_changes.requeue(begun.job, attempt=1)
    elsewhere()
    folder, request = begin_again(claimed(begun.job.code))
    assert request is None and list(folder.iterdir()) == []


def test_a_worker_for_the_face_that_finds_no_picture_says_where_it_looked(begun):
    Job.objects.update(working_files={})
    for attempt in (1, 2, 3):
        folders.remove(begun.job.code)
        Job.objects.update(status="queued", worker="", next_step="face", attempt=attempt)
        runner.run(claimed(begun.job.code), steps=("face",))
    job = Job.objects.get()
    assert job.status == "failed" and "not in the storage" in job.error_message


def test_pages_show_steps_and_previews_without_the_workers_disk(begun, elsewhere):
    (begun.folder / job_folder.PREVIEW).write_bytes(PICTURE)
    begun.store()
    elsewhere()
    code, browser = begun.job.code, Browser()
    browser.get("/")
    name = browser.cookies[visitors.COOKIE].value.partition(":")[0].split()[0]
    Job.objects.update(client=Client.objects.get(name=visitors.CLIENT), visitor=name)
    assert f"/jobs/{code}/steps/3.png" in browser.get(f"/jobs/{code}/").content.decode()
    for path in ("steps/3.png", "preview.png"):
        answer = browser.get(f"/jobs/{code}/{path}")
        assert answer.status_code == 200 and answer.getvalue() == PICTURE, path
        assert answer["Content-Type"] == "image/png" and "no-store" in answer["Cache-Control"]
    assert browser.get(f"/jobs/{code}/steps/4.png").status_code == 404
    job = Job.objects.get()
    assert (working_files.newest(job), working_files.pictures(job)) == (3, [0, 1, 2, 3])


def test_a_training_goes_on_from_its_newest_checkpoint_on_another_machine(catalogue, photos, elsewhere):
    job = claimed(make_training(photos).code)
    folder = folders.make(folders.training_output(job.code))
    state = folder / f"{job.code}-step00000100-state"
    for path in (state / "state.pt", folder / "sample" / f"{job.code}_000100_00.png"):
        path.parent.mkdir(parents=True)
        path.write_bytes(PICTURE)
    (state / "state.part").write_bytes(b"half")
    os.mkfifo(folder / "stderr")
    Copies(job, folder).store()
    sample = f"{job.code}_000100_00.png"
    assert status_changes.requeue(job, attempt=1)
    elsewhere()
    job = claimed(job.code)
    assert working_files.samples(job) == [sample] and working_files.open_sample(job, sample).read() == PICTURE
    there = folders.make(folders.training_output(job.code))
    assert Copies(job, there).fetch()
    assert (there / state.name / "state.pt").read_bytes() == PICTURE
    assert sorted(path.name for path in there.rglob("*") if path.is_file()) == [sample, "state.pt"]
