"""The headers and parts of answers that the calls for a new job have in common."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.response import Response
from rest_framework.reverse import reverse

from diffuser_api.api import idempotency, waiting
from diffuser_api.api.job_serializer import output_url
from diffuser_api.jobs import choosing
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


def created_or_accepted(*jobs: Job) -> int:
    done = all(job.status == Job.Status.SUCCEEDED for job in jobs)
    return status.HTTP_201_CREATED if done else status.HTTP_202_ACCEPTED


def picture_answer(job: Job, request) -> Response:
    """The answer about a new picture, and about the other candidates if there are some."""
    jobs = waiting.wait(request, list(choosing.candidates(job)) or [job])
    pictures = [
        {
            "code": job.code,
            "status": job.status,
            "status_url": status_url(job, request),
            "output_url": output_url(job, request),
        }
        for job in jobs
    ]
    answer = pictures[0] | {
        "lora_used": "face" in job.steps,
        "action": job.parameters["action"],
        "action_score": job.parameters["action_score"],
    }
    if problem := job.parameters.get("lora_problem"):
        answer["lora_problem"] = problem
    if len(pictures) > 1:
        answer["candidates"] = pictures
    return Response(answer, created_or_accepted(*jobs))
