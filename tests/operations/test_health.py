"""/readyz names what is in the way, and /metrics counts what the rows say."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_job, make_picture
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job
from diffuser_api.operations import checks, health, installation


@pytest.fixture
def catalogue(db):
    return make_catalogue()


def test_a_healthy_server_is_ready(client, catalogue):
    parts = ("status", "database", "queue", "disk", "models", "worker")
    assert client.get("/readyz").json() == dict.fromkeys(parts, "ok")
    assert client.get("/healthz").json() == {"status": "ok"}


def not_ready(client, part: str, *others: str) -> str:
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json()["status"] == "not ready"
    assert [name for name, state in answer.json().items() if state != "ok"] == ["status", part, *others]
    return answer.json()[part]


def test_a_full_disk_is_not_ready(client, catalogue, settings):
    settings.MIN_FREE_MB = 2**40
    assert "MB free" in not_ready(client, "disk")


def test_a_missing_model_is_not_ready(client, catalogue, monkeypatch, tmp_path):
    monkeypatch.setenv("INPAINT_MODEL", str(tmp_path / "nowhere"))
    said = not_ready(client, "models")
    assert "manage.py models" in said and "nowhere" not in said


def test_a_missing_table_is_not_ready(client, transactional_db):
    table = Job._meta.db_table
    with connection.schema_editor() as editor:
        editor.execute(f"ALTER TABLE {table} RENAME TO away")
    try:
        assert "migrate" in not_ready(client, "queue", "worker")
    finally:
        with connection.schema_editor() as editor:
            editor.execute(f"ALTER TABLE away RENAME TO {table}")


def test_jobs_that_no_worker_takes_are_not_ready(client, catalogue):
    first, second = make_job(), make_job()
    assert client.get("/readyz").status_code == 200
    long_ago = timezone.now() - 2 * health.LONGEST_SILENCE
    Job.objects.update(created_at=long_ago)
    assert "start a worker" in not_ready(client, "worker")
    running = status_changes.claim(first.code)
    assert client.get("/readyz").status_code == 200
    Job.objects.filter(pk=first.pk).update(heartbeat_at=long_ago)  # its worker died
    assert "start a worker" in not_ready(client, "worker")
    status_changes.fail(running, "step_failed", "no luck")
    assert client.get("/readyz").status_code == 200 and second.code


def scrape(client) -> dict[tuple, float]:
    answer = client.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value  # labels in the order of their names
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_metrics_are_shown_only_with_their_token(client, catalogue, settings):
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    settings.METRICS_TOKEN = "scrape-me"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "scrape-me"}):
        assert client.get("/metrics", headers=headers).status_code == 404
    assert scrape(client)["cartolina_queue_length", "generation"] == 0


def test_metrics_count_what_the_rows_say(client, catalogue, settings, tmp_path):
    settings.METRICS_TOKEN = "scrape-me"
    for seconds in (2.0, 4.0):
        done = make_picture(tmp_path)
        timing = {"step": "pose", "import_seconds": 1.0, "load_seconds": 0.5, "peak_rss_mb": 100}
        Job.objects.filter(pk=done.pk).update(timings=[timing | {"inference_seconds": seconds}])
    status_changes.fail(status_changes.claim(make_job().code), "step_failed", "no luck")
    Job.objects.filter(pk=done.pk).update(attempt=2, tree_peak_mb=300.0)
    poisoned = make_job()
    Job.objects.filter(pk=poisoned.pk).update(attempt=status_changes.MAX_ATTEMPTS)
    status_changes.retry(status_changes.claim(poisoned.code), "worker_died", "The worker died.")
    Job.objects.filter(pk=poisoned.pk).update(error_message="The worker died, said in other words.")
    waiting = [make_job(), make_job()]
    Job.objects.filter(pk=waiting[0].pk).update(created_at=timezone.now() - timedelta(seconds=90))
    found = scrape(client)
    assert found["cartolina_queue_length", "generation"] == 2
    assert found["cartolina_queue_length", "training"] == 0
    assert 90 <= found["cartolina_queue_oldest_seconds", "generation"] < 120
    assert found["cartolina_jobs", "generation", "succeeded"] == 2
    assert found["cartolina_failures", "generation", "step_failed"] == 1
    assert found["cartolina_recoveries", "generation", "succeeded"] == 1
    assert found["cartolina_kills", "generation"] == 1 + status_changes.MAX_ATTEMPTS
    assert found["cartolina_tree_peak_bytes", "generation"] == 300 * 2**20
    assert found["cartolina_step_seconds", "0.5", "pose"] == pytest.approx(4.5)
    assert found["cartolina_step_peak_bytes", "pose"] == 100 * 2**20
    assert found["cartolina_ready", "database"] == 1


def test_machines_with_a_folder_each_are_told_to_have_the_same_keys(settings):
    settings.OWN_SECRET_KEY = True
    assert not checks.machines_have_the_same_keys(None)
    settings.BUCKET = {"bucket_name": "cartolina"}
    said = [f"{found.msg} {found.hint}" for found in checks.machines_have_the_same_keys(None)]
    assert "SECRET_KEY" in said[0] and "C2PA_KEY" in said[1]
    settings.OWN_SECRET_KEY, settings.C2PA_CERTIFICATE = False, "chain.pem"
    assert not checks.machines_have_the_same_keys(None)


def test_a_check_names_the_database_that_a_data_dir_belongs_to(settings, db):
    installation.claim_files()
    assert not checks.files_have_their_database(None)
    (settings.DATA_DIR / installation.CLAIM).write_text("postgresql://there:5432/cartolina")
    [warning] = checks.files_have_their_database(None)
    assert "postgresql://there:5432/cartolina" in warning.msg
    assert "delete the file installation" in warning.hint
