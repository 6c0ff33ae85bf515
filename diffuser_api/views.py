"""Thin: a request is validated, ``jobs`` or ``catalogue`` is called, the answer is written."""

from __future__ import annotations

import io
import shutil

from django.conf import settings
from django.db import DatabaseError
from django.http import FileResponse, Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe
from django_tasks_db.models import DBTaskResult
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from PIL import Image
from rest_framework import status
from rest_framework.generics import ListAPIView, RetrieveDestroyAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from diffuser_api import idempotency, jobs, loras, retention, uploads, waiting
from diffuser_api.models import Action, ActionImage, Job, LoraModel, Poi, PoiImage
from diffuser_api.parsers import BoundedMultiPartParser
from diffuser_api.serializers import (
    ActionSerializer,
    ErrorSerializer,
    GenerateImageAnswerSerializer,
    GenerateImageSerializer,
    JobSerializer,
    LoraTrainingAnswerSerializer,
    LoraTrainingSerializer,
    PhotosRefusedSerializer,
    PoiSerializer,
    TrainingCompleteSerializer,
    output_url,
)

THUMBNAIL_SIDE = 512  # pixels
FREE_MB_NEEDED = 200  # to take a job
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


def _status_url(job: Job, request) -> str:
    return reverse("job", args=[job.code], request=request)


def _created_or_accepted(job: Job) -> int:
    done = job.status == Job.Status.SUCCEEDED
    return status.HTTP_201_CREATED if done else status.HTTP_202_ACCEPTED


class LoraTraining(APIView):
    """Five photos of a visitor train their LoRA. Its code is answered at once; its training takes minutes."""

    parser_classes = [BoundedMultiPartParser]

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
        def make(remember) -> Job:
            return jobs.create_training(uploads.clean_photos(request.FILES.getlist("images")), remember)

        try:
            job = waiting.wait(request, idempotency.once(request, make))
        except uploads.PhotosRefused as refused:
            return Response({"images": refused.reasons}, status.HTTP_400_BAD_REQUEST)
        answer = {"lora_code": job.code, "status": job.status, "status_url": _status_url(job, request)}
        return Response(answer, _created_or_accepted(job))


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
        job = jobs.find_by_token(code, token.strip()) if scheme.lower() == "bearer" else None
        if job is None:
            detail = "This needs the one-time token of a running training, which is wrong, used or missing."
            return Response({"detail": detail}, status.HTTP_403_FORBIDDEN)
        values = TrainingCompleteSerializer(data=request.data)
        values.is_valid(raise_exception=True)
        if error := values.validated_data.get("error"):
            won = jobs.fail(job, "training_failed", error)
        else:
            content = values.validated_data["lora"].read()
            try:
                loras.check(content)
            except loras.NotALora as broken:
                return Response({"detail": str(broken)}, status.HTTP_400_BAD_REQUEST)
            won = jobs.finish_training(job, content)
        if not won:
            return Response({"detail": "This training runs no more."}, status.HTTP_409_CONFLICT)
        return Response(status=status.HTTP_204_NO_CONTENT)


class GenerateImage(APIView):
    """A picture of a person, in a place, doing something. Answered at once; the picture takes a while."""

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
        def make(remember) -> Job:
            serializer = GenerateImageSerializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            asked = serializer.validated_data
            return jobs.create_generation(
                asked["place"],
                asked["action_image"],
                asked["lora"],
                asked["seed"],
                remember,
                age=asked["age"],
                gender=asked["gender"],
                other_details=asked["other_details"],
                action=asked["action_image"].action.name,
                action_score=asked["action_score"],
            )

        job = waiting.wait(request, idempotency.once(request, make))
        answer = {
            "code": job.code,
            "status": job.status,
            "status_url": _status_url(job, request),
            "output_url": output_url(job, request),
            "lora_used": "face" in job.steps,
            "action": job.parameters["action"],
            "action_score": job.parameters["action_score"],
        }
        return Response(answer, _created_or_accepted(job))


class JobDetail(RetrieveDestroyAPIView):
    """How far a job is; or away with it and all that it made. A training takes its LoRA and the pictures made
    with that along, since the visitor's face is in them."""

    queryset = Job.objects.all()
    serializer_class = JobSerializer
    lookup_field = "code"

    def perform_destroy(self, job):
        retention.delete(job.code)


class JobCancel(APIView):
    """A waiting job ends at once, a running one within two seconds, and its working files are gone."""

    @extend_schema(
        request=None,
        responses={
            202: JobSerializer,
            404: ErrorSerializer,
            409: OpenApiResponse(ErrorSerializer, "The job had finished."),
        },
    )
    def post(self, request, code):
        job = get_object_or_404(Job, code=code)
        if not jobs.cancel(code):
            return Response({"detail": "The job has finished already."}, status.HTTP_409_CONFLICT)
        job.refresh_from_db()
        return Response(JobSerializer(job, context={"request": request}).data, status.HTTP_202_ACCEPTED)


class LoraDetail(APIView):
    """Away with a LoRA, its training, and the pictures made with it, since the visitor's face is in them."""

    @extend_schema(responses={204: None, 404: ErrorSerializer})
    def delete(self, request, code):
        get_object_or_404(LoraModel, code=code)
        retention.delete(code)
        return Response(status=status.HTTP_204_NO_CONTENT)


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
