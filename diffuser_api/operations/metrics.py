"""The numbers that Prometheus reads, counted from the rows at each scrape."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator

from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import Now
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from diffuser_api.models import Job, Webhook
from diffuser_api.operations import health

JOBS_LOOKED_AT = 100  # durations and memory are those of the last so many jobs


def text() -> bytes:
    registry = CollectorRegistry()
    registry.register(_Rows())
    return generate_latest(registry)


class _Rows:
    def describe(self) -> list:
        return []  # registering reads nothing

    def collect(self) -> Iterator[GaugeMetricFamily]:
        jobs = Job.objects.order_by()
        queued = jobs.filter(status=Job.Status.QUEUED)
        waiting = dict(queued.values_list("kind").annotate(age=Now() - Min("created_at")))
        lengths = dict(queued.values_list("kind").annotate(Count("pk")))
        yield _gauge(
            "queue_length", "Jobs waiting.", ["kind"], [((kind,), lengths.get(kind, 0)) for kind in Job.Kind]
        )
        ages = [((kind,), waiting[kind].total_seconds() if kind in waiting else 0) for kind in Job.Kind]
        yield _gauge("queue_oldest_seconds", "How long the oldest job has been waiting.", ["kind"], ages)
        counted = jobs.values_list("kind", "status").annotate(Count("pk"))
        yield _gauge(
            "jobs", "Jobs kept, by status.", ["kind", "status"], [(row[:2], row[2]) for row in counted]
        )
        failed = jobs.filter(status=Job.Status.FAILED).values_list("kind", "error_code").annotate(Count("pk"))
        yield _gauge(
            "failures", "Jobs failed, by reason.", ["kind", "reason"], [(row[:2], row[2]) for row in failed]
        )
        lost = Sum("attempt") - Count("pk") + Count("pk", filter=Q(gave_up=True))
        killed = jobs.values_list("kind").annotate(lost=lost)
        name = "Attempts of kept jobs that the death of a process ended."
        yield _gauge("kills", name, ["kind"], [(row[:1], row[1]) for row in killed])
        again = jobs.filter(attempt__gt=1).values_list("kind", "status").annotate(Count("pk"))
        name = "Jobs kept that were begun again after their worker was gone."
        yield _gauge("recoveries", name, ["kind", "status"], [(row[:2], row[2]) for row in again])
        yield from _steps()
        last = Job.objects.filter(tree_peak_mb__gt=0).order_by("-started_at")[:JOBS_LOOKED_AT]
        peaks = Job.objects.filter(pk__in=last.values("pk")).order_by().values_list("kind")
        name = (
            "Most memory of a worker and all its processes together in the last jobs, the running ones too."
        )
        trees = [(row[:1], row[1] * 2**20) for row in peaks.annotate(Max("tree_peak_mb"))]
        yield _gauge("tree_peak_bytes", name, ["kind"], trees)
        hooks = Webhook.objects.order_by().values_list("status").annotate(Count("pk"))
        yield _gauge(
            "webhooks", "Webhooks kept, by status.", ["status"], [(row[:1], row[1]) for row in hooks]
        )
        ready = [((part,), state == "ok") for part, state in health.parts().items()]
        yield _gauge("ready", "1 for each part that is able to take work.", ["part"], ready)


def _steps() -> Iterator[GaugeMetricFamily]:
    """Seconds and memory of each step, its import and load included."""
    seconds, memory = defaultdict(list), defaultdict(list)
    last = Job.objects.filter(status=Job.Status.SUCCEEDED).order_by("-finished_at")
    for timings in last.values_list("timings", flat=True)[:JOBS_LOOKED_AT]:
        for timing in timings:
            parts = [value for key, value in timing.items() if key.endswith("_seconds") and value]
            seconds[timing.get("step", "")].append(sum(parts))
            memory[timing.get("step", "")].append(timing.get("peak_rss_mb") or 0)
    rows = []
    for step, values in seconds.items():
        cuts = statistics.quantiles(values, n=20, method="inclusive") if len(values) > 1 else values * 19
        rows += [((step, "0.5"), cuts[9]), ((step, "0.95"), cuts[18])]
    yield _gauge("step_seconds", "Duration of a step in the last jobs.", ["step", "quantile"], rows)
    peaks = [((step,), max(values) * 2**20) for step, values in memory.items()]
    yield _gauge("step_peak_bytes", "Most memory of a step's process in the last jobs.", ["step"], peaks)


def _gauge(name: str, help_text: str, labels: list[str], rows) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"cartolina_{name}", help_text, labels=labels)
    for values, number in rows:
        gauge.add_metric([str(value) for value in values], float(number))
    return gauge
