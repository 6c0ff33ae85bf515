"""DELETE on jobs and LoRAs, in the API and in the admin, and by age: every byte goes."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.utils import timezone

from benchmarks.harness.clients import make_job, make_order, make_training
from benchmarks.harness.loras import small_lora
from diffuser_api.jobs import choosing, orders, run_generation, runner, status_changes
from diffuser_api.models import Job, LoraModel, TrainingPhoto
from diffuser_api.operations.workers import ALL_STEPS
from tests.jobs.test_erase import in_database, sqlite_only

SECRET = "a coat that nobody else wears"


@pytest.fixture
def visitor(catalogue, photos, tmp_path) -> dict[str, str]:
    """Codes of a training with its LoRA, of two pictures with it, and of somebody else's picture."""
    training = status_changes.claim(make_training(photos).code)
    assert status_changes.finish_training(training, small_lora())
    lora = LoraModel.objects.get()
    codes = {"training": training.code, "done": paint(lora, tmp_path), "other": paint(None, tmp_path)}
    return codes | {"waiting": ask(lora).code}


def ask(lora: LoraModel | None) -> Job:
    return orders.create_job(make_order(lora=lora, other_details=SECRET))


def paint(lora: LoraModel | None, tmp_path) -> str:
    job = status_changes.claim(ask(lora).code)
    (tmp_path / "picture.png").write_bytes(b"a picture of " + job.code.encode())
    assert status_changes.finish_generation(job, tmp_path / "picture.png")
    return job.code


def stored() -> set[str]:
    return {
        f"{folder}/{name}"
        for folder in ("photos", "loras", "outputs")
        if default_storage.exists(folder)
        for name in default_storage.listdir(folder)[1]
    }


def delete_by_api(client, admin_client, model, code: str) -> None:
    kind = "jobs" if model is Job else "loras"
    assert client.delete(f"/api/{kind}/{code}/").status_code == 204


def delete_on_its_page(client, admin_client, model, code: str) -> None:
    row = model.objects.get(code=code)
    url = f"/admin/diffuser_api/{model._meta.model_name}/{row.pk}/delete/"
    assert admin_client.post(url, {"post": "yes"}).status_code == 302


def delete_in_the_list(client, admin_client, model, code: str) -> None:
    row = model.objects.get(code=code)
    body = {"action": "delete_selected", "post": "yes", "_selected_action": [row.pk]}
    url = f"/admin/diffuser_api/{model._meta.model_name}/"
    assert admin_client.post(url, body).status_code == 302


ways = pytest.mark.parametrize("way", [delete_by_api, delete_on_its_page, delete_in_the_list])


@ways
def test_deleting_a_picture_deletes_nothing_else(way, visitor, client, admin_client):
    way(client, admin_client, Job, visitor["done"])
    assert set(Job.objects.values_list("code", flat=True)) == set(visitor.values()) - {visitor["done"]}
    assert stored() == {f"loras/{visitor['training']}.safetensors", f"outputs/{visitor['other']}.png"}


@ways
@pytest.mark.parametrize("model", [Job, LoraModel])
def test_deleting_a_training_or_a_lora_deletes_all_of_that_visitor(model, way, visitor, client, admin_client):
    way(client, admin_client, model, visitor["training"])
    assert [job.code for job in Job.objects.all()] == [visitor["other"]]
    assert not LoraModel.objects.exists() and stored() == {f"outputs/{visitor['other']}.png"}


def test_deleting_a_waiting_training_deletes_its_photos(client, transactional_db, photos):
    job = make_training(photos)
    assert client.delete(f"/api/jobs/{job.code}/").status_code == 204
    assert not stored() and not Job.objects.exists() and not TrainingPhoto.objects.exists()


@pytest.mark.parametrize(("call", "module"), [("keep", choosing), ("cancel", status_changes)])
def test_a_picture_that_is_deleted_during_another_call_is_not_found(
    call, module, client, catalogue, monkeypatch
):
    code, real = make_job().code, getattr(module, call)

    def deleted_then(job):
        done = real(job)
        Job.objects.filter(code=code).delete()  # what another request does at the same moment
        return done

    monkeypatch.setattr(module, call, deleted_then)
    assert client.post(f"/api/jobs/{code}/{call}/").status_code == 404


def test_a_running_job_is_taken_from_its_worker(client, catalogue):
    running = status_changes.claim(make_job().code)
    assert client.delete(f"/api/jobs/{running.code}/").status_code == 204
    assert status_changes.is_lost(running)


def test_a_worker_outlives_the_deletion_of_the_job_that_it_runs(client, catalogue, monkeypatch):
    job = ask(None)

    def delete_meanwhile(running, lease, steps):
        assert client.delete(f"/api/jobs/{running.code}/").status_code == 204

    monkeypatch.setattr(run_generation, "run", delete_meanwhile)
    assert runner.run_next(ALL_STEPS, lambda: False) and not Job.objects.filter(pk=job.pk).exists()
    assert not runner.run_next(ALL_STEPS, lambda: False)


@sqlite_only
def test_deleted_rows_are_overwritten_in_the_database(client, visitor):
    assert in_database(SECRET)
    for code in visitor.values():
        client.delete(f"/api/jobs/{code}/")
    assert not in_database(SECRET)


@pytest.mark.parametrize("kind", ["jobs", "loras"])
def test_an_unknown_code_is_not_found(kind, client, transactional_db):
    assert client.delete(f"/api/{kind}/00000000/").status_code == 404


def retention() -> str:
    out = StringIO()
    call_command("retention", stdout=out)
    return out.getvalue()


def age(code: str, days: int) -> None:
    before = timezone.now() - timedelta(days=days)
    Job.objects.filter(code=code, finished_at__isnull=False).update(finished_at=before)
    LoraModel.objects.filter(code=code).update(created_at=before)


def test_without_a_limit_nothing_is_deleted_by_age(visitor, settings):
    settings.KEEP_OUTPUTS_DAYS = settings.KEEP_LORAS_DAYS = 0
    for code in visitor.values():
        age(code, 5000)
    before = stored()
    assert "pictures: 0 deleted" in retention() and stored() == before


def test_pictures_and_loras_are_deleted_by_age(visitor, settings):
    settings.KEEP_OUTPUTS_DAYS, settings.KEEP_LORAS_DAYS = 30, 7
    age(visitor["done"], 31)
    age(visitor["other"], 29)
    age(visitor["training"], 8)
    Job.objects.filter(code=visitor["waiting"]).update(created_at=timezone.now() - timedelta(days=2))
    assert f"pictures: 1 deleted: {visitor['done']}" in retention()
    assert LoraModel.objects.exists()  # a picture with it, asked for in time, is still to be made
    status_changes.cancel(visitor["waiting"])
    assert f"LoRAs: 1 deleted: {visitor['training']}" in retention()
    assert stored() == {f"outputs/{visitor['other']}.png"}
    assert [job.code for job in Job.objects.all()] == [visitor["other"]]


def test_photos_of_an_ended_training_are_deleted_however_it_ended(transactional_db, photos):
    job = make_training(photos)
    Job.objects.update(status="failed")  # as if the power had gone just then
    assert f"photos: 1 deleted: {job.code}" in retention()
    assert not stored()
