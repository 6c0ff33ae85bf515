"""The call that requests a picture."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.views import APIView

from diffuser_api.api import idempotency
from diffuser_api.api.serializers import (
    ErrorSerializer,
    GenerateImageAnswerSerializer,
    GenerateImageSerializer,
)
from diffuser_api.api.views.new_job import HEADERS, picture_answer
from diffuser_api.jobs import orders


class GenerateImage(APIView):
    """Request a picture of a person who does something in a place. The answer comes at once; the picture
    takes a while. With `candidates`, several pictures are made with different seeds. Each is a job of its
    own, also in the limits; keep one of them with `POST /api/jobs/{code}/keep/`."""

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
        job = orders.find_job(key)
        if job is None:
            job = orders.create_job(GenerateImageSerializer(data=request.data).order(request.user, key))
        return picture_answer(job, request)
