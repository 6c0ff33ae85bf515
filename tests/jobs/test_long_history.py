"""Many jobs that have ended: the queue's order and the estimates don't read them all."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks.harness.clients import make_job
from diffuser_api.jobs import queue
from diffuser_api.models import Job

pytestmark = pytest.mark.usefixtures("catalogue")


def make_ended(visitor: str, minutes: int) -> None:
    """A job that ran so many minutes ago."""
    began = timezone.now() - timedelta(minutes=minutes)
    fields = {"kind": "generation", "status": "succeeded", "started_at": began, "finished_at": began}
    Job.objects.create(code=f"9{minutes:07}", visitor=visitor, steps=["pose"], **fields)


def test_a_turn_is_remembered_for_an_hour_and_not_for_a_day():
    make_ended("ann", minutes=30)
    make_ended("bob", minutes=90)
    waiting = [make_job(visitor=name) for name in ("ann", "bob", "eve")]
    turns = [one.pk for one in queue.in_turn()]
    assert turns == [waiting[1].pk, waiting[2].pk, waiting[0].pk]
    assert {owner[-1] for owner in queue._last_turns() if len(owner) == 3} == {"ann"}


def test_where_one_visitor_waits_alone_no_earlier_turn_is_read():
    make_ended("ann", minutes=30)
    make_job(visitor="ann")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        queue.in_turn()
    assert len(asked) == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
def test_an_estimate_finds_the_last_jobs_by_an_index_without_sorting_all():
    with CaptureQueriesContext(connection) as asked:
        queue.typical_seconds("generation")
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]['sql']}")
        plan = " ".join(row[-1] for row in cursor.fetchall())
    assert "jobs_of_a_kind_by_their_end" in plan and "TEMP B-TREE" not in plan, plan
