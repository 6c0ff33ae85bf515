"""Thin: a request is validated, ``jobs`` or ``catalogue`` is called, the answer is written."""

from __future__ import annotations

import io
import shutil

from django.conf import settings
from django.db import DatabaseError
from django.http import FileResponse, Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import get_language_from_request
from django.views.decorators.http import require_safe
from django_tasks_db.models import DBTaskResult
from drf_spectacular.utils import OpenApiResponse, extend_schema
from PIL import Image
from rest_framework import status
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from diffuser_api import jobs, loras, photo_sentences, uploads
from diffuser_api.models import Action, ActionImage, Job, Poi, PoiImage
from diffuser_api.parsers import BoundedMultiPartParser
from diffuser_api.serializers import (
    ActionSerializer,
    ErrorSerializer,
    GenerateImageAnswerSerializer,
    GenerateImageSerializer,
    JobSerializer,
    LoraTrainingAnswerSerializer,
    LoraTrainingSerializer,
    PhotoCheckAnswerSerializer,
    PhotoCheckSerializer,
    PhotosRefusedSerializer,
    PoiSerializer,
    TrainingCompleteSerializer,
    output_url,
)

THUMBNAIL_SIDE = 512  # pixels
FREE_MB_NEEDED = 200  # to take a job


def _language(request) -> str:
    """The one of our sentences' languages that the client likes best."""
    wanted = get_language_from_request(request).split("-")[0]
    return wanted if wanted in photo_sentences.LANGUAGES else photo_sentences.LANGUAGES[0]


def _status_url(job: Job, request) -> str:
    return reverse("job", args=[job.code], request=request)


class LoraTraining(APIView):
    """Five photos of a visitor train their LoRA. Its code is answered at once; its training takes minutes."""

    parser_classes = [BoundedMultiPartParser]

    @extend_schema(
        request={"multipart/form-data": LoraTrainingSerializer},
        responses={202: LoraTrainingAnswerSerializer, 400: PhotosRefusedSerializer},
    )
    def post(self, request):
        try:
            photos, warnings = uploads.clean_photos(request.FILES.getlist("images"), _language(request))
        except uploads.PhotosRefused as refused:
            return Response({"images": refused.reasons}, status.HTTP_400_BAD_REQUEST)
        job = jobs.create_training([one.clean for one in photos], [one.embedding for one in photos])
        answer = {"lora_code": job.code, "status": job.status, "status_url": _status_url(job, request)}
        if warnings:
            answer["warnings"] = warnings
        return Response(answer, status.HTTP_202_ACCEPTED)


class PhotoCheck(APIView):
    """Would this photo be accepted for a training? Asked before the five are sent; nothing is kept."""

    parser_classes = [BoundedMultiPartParser]

    @extend_schema(
        request={"multipart/form-data": PhotoCheckSerializer},
        responses={200: PhotoCheckAnswerSerializer, 400: OpenApiResponse(description="No file `image`.")},
    )
    def post(self, request):
        serializer = PhotoCheckSerializer(data=request.FILES)
        serializer.is_valid(raise_exception=True)
        accepted, findings = uploads.check_photo(serializer.validated_data["image"], _language(request))
        return Response({"accepted": accepted, "findings": findings})


class TrainingComplete(APIView):
    """For post-back.py: the LoRA, or the reason why there is none, with the job's one-time token."""

    parser_classes = [BoundedMultiPartParser]

    @extend_schema(
        request={"multipart/form-data": TrainingCompleteSerializer},
        responses={
            204: None,
            **{code: ErrorSerializer for code in (400, 403)},
            409: OpenApiResponse(ErrorSerializer, "The job runs no more."),
        },
    )
    def post(self, request, code):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not jobs.check_token(code, token.strip()):
            detail = "This needs the one-time token of a running training, which is wrong, used or missing."
            return Response({"detail": detail}, status.HTTP_403_FORBIDDEN)
        values = TrainingCompleteSerializer(data=request.data)
        values.is_valid(raise_exception=True)
        if error := values.validated_data.get("error"):
            won = jobs.fail(code, "training_failed", error)
        else:
            content = values.validated_data["lora"].read()
            try:
                loras.check(content)
            except loras.NotALora as broken:
                return Response({"detail": str(broken)}, status.HTTP_400_BAD_REQUEST)
            won = jobs.finish_training(code, content)
        if not won:
            return Response({"detail": "This training runs no more."}, status.HTTP_409_CONFLICT)
        return Response(status=status.HTTP_204_NO_CONTENT)


class GenerateImage(APIView):
    """A picture of a person, in a place, doing something. Answered at once; the picture takes a while."""

    @extend_schema(
        request=GenerateImageSerializer,
        responses={
            202: GenerateImageAnswerSerializer,
            400: OpenApiResponse(description="Field: list of reasons."),
        },
    )
    def post(self, request):
        serializer = GenerateImageSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        job = jobs.create_generation(
            asked["place"],
            asked["action_image"],
            asked["lora"],
            asked["seed"],
            age=asked["age"],
            gender=asked["gender"],
            other_details=asked["other_details"],
        )
        answer = {
            "code": job.code,
            "status": job.status,
            "status_url": _status_url(job, request),
            "output_url": output_url(job, request),
            "lora_used": asked["lora"] is not None,
            "action": asked["action_image"].action.name,
            "action_score": asked["action_score"],
        }
        return Response(answer, status.HTTP_202_ACCEPTED)


class JobDetail(RetrieveAPIView):
    """How far a job is."""

    queryset = Job.objects.all()
    serializer_class = JobSerializer
    lookup_field = "code"


class PoiList(ListAPIView):
    """The places and their images."""

    queryset = Poi.objects.prefetch_related("images")
    serializer_class = PoiSerializer


class ActionList(ListAPIView):
    """The actions and their shot types."""

    queryset = Action.objects.prefetch_related("images")
    serializer_class = ActionSerializer


@require_safe
def output(request, code):
    """The finished picture; 404 until it is there."""
    job = get_object_or_404(Job, code=code, status=Job.Status.SUCCEEDED, kind=Job.Kind.GENERATION)
    try:
        return FileResponse(job.output.open("rb"), content_type="image/png")
    except (OSError, ValueError) as error:
        raise Http404 from error


def _thumbnail(model, pk: int, field: str, allowed: set[str]) -> HttpResponse:
    if field not in allowed:
        raise Http404
    row = get_object_or_404(model, pk=pk)
    try:
        with getattr(row, field).open("rb") as file, Image.open(file) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError) as error:
        raise Http404 from error
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=88)
    return HttpResponse(
        content.getvalue(), content_type="image/jpeg", headers={"Cache-Control": "public, max-age=300"}
    )


@require_safe
def poi_thumbnail(request, pk, field):
    return _thumbnail(PoiImage, pk, field, {"image"})


@require_safe
def action_thumbnail(request, pk, field):
    return _thumbnail(ActionImage, pk, field, {"image", "skeleton", "subject_mask", "face_mask"})


@require_safe
def index(request):
    """What this is, and where to go."""
    return render(request, "diffuser_api/index.html")


@require_safe
def healthz(request):
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request):
    """Work can be taken: database and queue answer, and there is room for pictures."""
    parts = {}
    for name, model in (("database", Job), ("queue", DBTaskResult)):
        try:
            model.objects.exists()
            parts[name] = "ok"
        except DatabaseError:
            parts[name] = "not migrated or not reachable; run `manage.py migrate`"
    free_mb = shutil.disk_usage(settings.DATA_DIR).free // 2**20
    parts["disk"] = "ok" if free_mb >= FREE_MB_NEEDED else f"{free_mb} MB free, {FREE_MB_NEEDED} needed"
    ready = all(state == "ok" for state in parts.values())
    return JsonResponse({"status": "ok" if ready else "not ready", **parts}, status=200 if ready else 503)
