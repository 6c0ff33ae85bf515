"""The headers and parts of answers that the two calls for a new job have in common."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.reverse import reverse

from diffuser_api.api import idempotency, waiting
from diffuser_api.models import Job

HEADERS = [
    OpenApiParameter(
        idempotency.HEADER,
        location=OpenApiParameter.HEADER,
        description="The same key within a day gives the same job; with another request: 422.",
    ),
    OpenApiParameter(
        "Prefer",
        location=OpenApiParameter.HEADER,
        description=f"wait=N: answer 201 if the job succeeds within N seconds ({waiting.LONGEST_SECONDS} at "
        "most), else 202. A server that has no room for more waiting requests answers at once.",
    ),
]


def status_url(job: Job, request) -> str:
    return reverse("job", args=[job.code], request=request)


def created_or_accepted(job: Job) -> int:
    done = job.status == Job.Status.SUCCEEDED
    return status.HTTP_201_CREATED if done else status.HTTP_202_ACCEPTED
