"""For ``celery -A benchmarks.harness.simulated.celery worker``: the product's application, simulated."""

from benchmarks.harness.simulated import steps
from djangoproject.celery import app  # noqa: F401  Celery looks for it here

steps.replace()
