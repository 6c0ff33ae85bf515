"""What only PostgreSQL can show: several writers at the same time, and a server that goes away."""

import contextlib
import threading

import pytest
from django.db import connection

from benchmarks.harness import running_worker
from benchmarks.harness.clients import make_job
from benchmarks.harness.running_worker import wait_until
from diffuser_api.jobs import lease, status_changes
from diffuser_api.models import Job
from diffuser_api.operations import database, disk

psycopg = pytest.importorskip("psycopg")  # of requirements-scale.txt
pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="needs PostgreSQL: make test-scale")


@contextlib.contextmanager
def another():
    """A connection of another process's, inside a transaction that ends with the block."""
    with psycopg.connect(running_worker.database_url()) as other:
        yield other


def waits_for_a_lock() -> bool:
    """Asked on a connection of its own: inside a transaction, the answer would stay the same."""
    with another() as looking:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(looking.execute(waiting).fetchone()[0])


def test_a_job_that_is_cancelled_while_it_ends_is_cancelled_only(catalogue, monkeypatch):
    monkeypatch.setattr(database, "SECONDS_FOR_A_LOCK", 60.0)
    running, ended = status_changes.claim(make_job().code), []

    def end():
        ended.append(status_changes.fail(running, "step_failed", "at the same moment"))
        connection.close()

    thread = threading.Thread(target=end)
    with another() as other:
        other.execute("UPDATE diffuser_api_job SET status = 'cancelled' WHERE id = %s", [running.pk])
        thread.start()
        wait_until(waits_for_a_lock)
    thread.join()
    assert ended == [False] and Job.objects.get().status == "cancelled"


def test_a_worker_does_not_wait_for_a_job_that_another_is_just_taking(catalogue):
    first, second = make_job(), make_job()
    with another() as other:
        other.execute("UPDATE diffuser_api_job SET status = 'running' WHERE id = %s", [first.pk])
        assert status_changes.claim_next().pk == second.pk


def test_what_must_be_written_is_written_after_the_server_has_ended_all_connections(catalogue):
    running = status_changes.claim(make_job().code)
    with another() as other:
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        other.execute(f"{ours} AND pid <> pg_backend_pid()")
    assert lease.insist(lambda: status_changes.requeue(running, attempt=1))
    assert Job.objects.get().status == "queued"


def test_a_full_disk_of_the_server_is_a_full_disk():
    assert disk.is_full(psycopg.errors.DiskFull()) and not disk.is_full(psycopg.errors.LockNotAvailable())


@pytest.mark.parametrize("address", ["/api/jobs/1%00/", "/jobs/1%00/", "/data/outputs/1%00"])
def test_an_address_with_the_character_nul_is_not_found(address, client, catalogue):
    assert client.get(address).status_code == 404


def test_the_character_nul_in_a_query_is_no_error(client, catalogue):
    assert client.get("/postcard/?from=1%00").status_code == 404
