"""The calls for LoRAs: train from five photos, deliver (by the trainer), list, delete."""

from __future__ import annotations

from django.conf import settings
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from diffuser_api import audit
from diffuser_api.access.tokens import bearer_token
from diffuser_api.api import idempotency, waiting
from diffuser_api.api.field_names import unknown_names
from diffuser_api.api.serializers import (
    ConsentField,
    ConsentSerializer,
    ErrorSerializer,
    LoraSerializer,
    LoraTrainingAnswerSerializer,
    LoraTrainingSerializer,
    PhotosRefusedSerializer,
    TrainingCompleteSerializer,
)
from diffuser_api.api.views.jobs import NewestFirst
from diffuser_api.api.views.new_job import HEADERS, created_or_accepted, status_url
from diffuser_api.jobs import deletion, orders, status_changes
from diffuser_api.jobs.orders import TrainingOrder
from diffuser_api.models import LoraModel
from diffuser_api.photos import consent, gate


class ConsentText(APIView):
    """The text that a visitor agrees to before the photos are sent, in the language of the request."""

    authentication_classes = permission_classes = []

    @extend_schema(responses=ConsentSerializer)
    def get(self, request):
        agree = [str(consent.AGREE), str(consent.PERSON)]
        answer = {"version": consent.VERSION, "needed": settings.API_NEEDS_CONSENT}
        return Response(answer | {"text": consent.points(), "agree": agree})


class LoraTraining(APIView):
    """Train a LoRA from five photos of a visitor. The answer with the LoRA's code comes at once; the training
    takes minutes."""

    parser_classes = [MultiPartParser]

    @extend_schema(
        parameters=HEADERS,
        request={"multipart/form-data": LoraTrainingSerializer},
        responses={
            **dict.fromkeys((201, 202), LoraTrainingAnswerSerializer),
            400: PhotosRefusedSerializer,
            422: ErrorSerializer,
        },
    )
    def post(self, request):
        asked = ConsentField(data=request.data)
        asked.is_valid(raise_exception=True)
        key, warnings = idempotency.key_of(request), []
        job = orders.find_job(key)
        if job is None:
            order = TrainingOrder(
                consent=asked.validated_data["consent_version"],
                webhook_url=asked.validated_data["webhook_url"],
                client=request.user.client,
                visitor=request.user.visitor or "",
                address=request.user.address,
                idempotency_key=key,
            )
            try:
                job, warnings = orders.create_training(order, request.FILES.getlist("images"))
            except gate.PhotosRefused as refused:
                if misnamed := unknown_names(request.FILES, ("images",), "images"):
                    refused.reasons.append({"index": 0, "code": "wrong_field", "message": misnamed})
                return Response({"images": refused.reasons}, status.HTTP_400_BAD_REQUEST)
        [job] = waiting.wait(request, [job])
        answer = {"lora_code": job.code, "status": job.status, "status_url": status_url(job, request)}
        if warnings:
            answer["warnings"] = warnings
        return Response(answer, created_or_accepted(job))


class TrainingComplete(APIView):
    """The delivery of a training by post-back.py: the LoRA, or the reason why there is none. It needs the
    job's one-time token."""

    authentication_classes = permission_classes = []
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": TrainingCompleteSerializer},
        responses={
            204: None,
            400: OpenApiResponse(OpenApiTypes.OBJECT, "Field: list of reasons."),
            403: ErrorSerializer,
            409: OpenApiResponse(ErrorSerializer, "The job runs no more."),
        },
    )
    def post(self, request, code):
        job = status_changes.find_by_token(code, bearer_token(request))
        if job is None:
            detail = "This needs the one-time token of a running training, which is wrong, used or missing."
            return Response({"detail": detail}, status.HTTP_403_FORBIDDEN)
        values = TrainingCompleteSerializer(data=request.data)
        values.is_valid(raise_exception=True)
        if error := values.validated_data.get("error"):
            won = status_changes.fail(job, "training_failed", error)
        else:
            lora, likeness = values.validated_data["lora"], values.validated_data.get("likeness")
            won = status_changes.finish_training(job, lora, likeness)
        if not won:
            return Response({"detail": "This training runs no more."}, status.HTTP_409_CONFLICT)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LoraList(ListAPIView):
    """The caller's LoRAs, newest first."""

    queryset = LoraModel.objects.all()
    serializer_class = LoraSerializer
    pagination_class = NewestFirst

    def get_queryset(self):
        return super().get_queryset().visible_to(self.request.user).order_by("-created_at", "-pk")


class LoraDetail(APIView):
    """Delete a LoRA, its training, and the pictures made with it, because the visitor's face is in them."""

    @extend_schema(responses={204: None, 404: ErrorSerializer})
    def delete(self, request, code):
        get_object_or_404(LoraModel.objects.visible_to(request.user), code=code)
        deletion.delete(code, audit.client(request.user.client))
        return Response(status=status.HTTP_204_NO_CONTENT)
