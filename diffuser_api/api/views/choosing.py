"""The calls with which a visitor chooses: keep one candidate, and paint a face again alone."""

from __future__ import annotations

from dataclasses import replace

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import APIView

from diffuser_api.api import idempotency
from diffuser_api.api.job_serializer import JobSerializer
from diffuser_api.api.serializers import ErrorSerializer, FaceAgainSerializer, GenerateImageAnswerSerializer
from diffuser_api.api.views.new_job import HEADERS, picture_answer
from diffuser_api.jobs import choosing, orders
from diffuser_api.models import Job


def _picture(request, code: str) -> Job:
    pictures = Job.objects.visible_to(request.user).filter(kind=Job.Kind.GENERATION)
    return get_object_or_404(pictures.select_related("poi_image", "action_image__action", "lora"), code=code)


class Keep(APIView):
    """Keep this one of several candidates. The others are deleted with their files; those that wait or run
    are cancelled first. A picture that is alone stays as it is."""

    @extend_schema(
        request=None,
        responses={
            200: JobSerializer,
            404: ErrorSerializer,
            409: OpenApiResponse(ErrorSerializer, "It has no picture yet, or another candidate was kept."),
        },
    )
    def post(self, request, code):
        job = _picture(request, code)
        try:
            choosing.keep(job)
        except choosing.CantKeep as error:
            return Response({"detail": str(error)}, status.HTTP_409_CONFLICT)
        job.refresh_from_db()
        return Response(JobSerializer(job, context={"request": request}).data)


class FaceAgain(APIView):
    """Paint the visitor's face again, with another seed, on the kept steps of a finished picture. The result
    is a new picture with a job of its own; the old one stays."""

    @extend_schema(
        parameters=HEADERS,
        request=FaceAgainSerializer,
        responses={
            **dict.fromkeys((201, 202), GenerateImageAnswerSerializer),
            400: OpenApiResponse(description="Field: list of reasons."),
            404: ErrorSerializer,
            409: OpenApiResponse(
                ErrorSerializer,
                "There is no finished picture with a face, or its earlier steps are no longer there.",
            ),
            422: ErrorSerializer,
        },
    )
    def post(self, request, code):
        picture, key = _picture(request, code), idempotency.key_of(request)
        job = orders.find_job(key)
        if job is None:
            asked = FaceAgainSerializer(data=request.data)
            asked.is_valid(raise_exception=True)
            values = asked.validated_data
            try:
                order = choosing.face_order(picture, values["seed"])
                caller = {"address": request.user.address, "webhook_url": values["webhook_url"]}
                job = orders.create_job(replace(order, idempotency_key=key, **caller))
            except orders.CantRunAgain as error:
                return Response({"detail": str(error)}, status.HTTP_409_CONFLICT)
        return picture_answer(job, request)
