"""The call that requests a picture."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from diffuser_api.api import idempotency, waiting
from diffuser_api.api.serializers import (
    ErrorSerializer,
    GenerateImageAnswerSerializer,
    GenerateImageSerializer,
    output_url,
)
from diffuser_api.api.views.new_job import HEADERS, created_or_accepted, status_url


class GenerateImage(APIView):
    """Request a picture of a person who does something in a place. The answer comes at once; the picture
    takes a while."""

    @extend_schema(
        parameters=HEADERS,
        request=GenerateImageSerializer,
        responses={
            **dict.fromkeys((201, 202), GenerateImageAnswerSerializer),
            400: OpenApiResponse(description="Field: list of reasons."),
            422: ErrorSerializer,
        },
    )
    def post(self, request):
        key = idempotency.key_of(request)
        job = idempotency.find_job(key)
        if job is None:
            serializer = GenerateImageSerializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            job = idempotency.create_job(serializer.order(request.user, key))
        job = waiting.wait(request, job)
        answer = {
            "code": job.code,
            "status": job.status,
            "status_url": status_url(job, request),
            "output_url": output_url(job, request),
            "lora_used": "face" in job.steps,
            "action": job.parameters["action"],
            "action_score": job.parameters["action_score"],
        }
        if problem := job.parameters.get("lora_problem"):
            answer["lora_problem"] = problem
        return Response(answer, created_or_accepted(job))
