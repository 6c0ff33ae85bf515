"""Thin: a request is validated, ``jobs`` or ``catalogue`` is called, the answer is written."""

from __future__ import annotations

import io

from django.conf import settings
from django.http import FileResponse, Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiResponse, extend_schema
from PIL import Image
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from diffuser_api import access, health, jobs, loras, metrics, uploads
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
    PhotosRefusedSerializer,
    PoiSerializer,
    TrainingCompleteSerializer,
    WebhookSerializer,
    output_url,
)

THUMBNAIL_SIDE = 512  # pixels


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
        asked = WebhookSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            photos = uploads.clean_photos(request.FILES.getlist("images"))
        except uploads.PhotosRefused as refused:
            return Response({"images": refused.reasons}, status.HTTP_400_BAD_REQUEST)
        job = jobs.create_training(
            photos,
            client=request.user.client,
            visitor=request.user.visitor,
            webhook_url=asked.validated_data["webhook_url"],
        )
        answer = {"lora_code": job.code, "status": job.status, "status_url": _status_url(job, request)}
        return Response(answer, status.HTTP_202_ACCEPTED)


class TrainingComplete(APIView):
    """For post-back.py: the LoRA, or the reason why there is none, with the job's one-time token."""

    authentication_classes = permission_classes = []
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
        serializer = GenerateImageSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        job = jobs.create_generation(
            asked["place"],
            asked["action_image"],
            asked["lora"],
            asked["seed"],
            client=request.user.client,
            visitor=request.user.visitor,
            webhook_url=asked["webhook_url"],
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

    def get_queryset(self):
        return super().get_queryset().visible_to(self.request.user)


class PoiList(ListAPIView):
    """The places and their images."""

    authentication_classes = permission_classes = []
    queryset = Poi.objects.prefetch_related("images")
    serializer_class = PoiSerializer


class ActionList(ListAPIView):
    """The actions and their shot types."""

    authentication_classes = permission_classes = []
    queryset = Action.objects.prefetch_related("images")
    serializer_class = ActionSerializer


def _pictures_for(request, code: str, pictures):
    """Those of ``pictures`` that this request may fetch, ``code`` perhaps among them."""
    if settings.OUTPUT_URLS == "plain" or access.signature_is_good(code, request.GET.get("sig", "")):
        return pictures
    if request.user.is_staff and request.user.has_perm("diffuser_api.view_job"):
        return pictures
    try:
        return pictures.visible_to(access.caller_of(request))
    except APIException:
        return pictures.none()


@require_safe
def output(request, code):
    """The finished picture; 404 until it is there, and for whom it isn't meant."""
    pictures = Job.objects.filter(status=Job.Status.SUCCEEDED, kind=Job.Kind.GENERATION)
    job = get_object_or_404(_pictures_for(request, code, pictures), code=code)
    try:
        headers = {"Cache-Control": "private, max-age=3600"}
        return FileResponse(job.output.open("rb"), content_type="image/png", headers=headers)
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
    """Work can be taken; if not, the part that is in the way says so."""
    parts = health.parts()
    ready = all(state == "ok" for state in parts.values())
    return JsonResponse({"status": "ok" if ready else "not ready", **parts}, status=200 if ready else 503)


@require_safe
def metrics_page(request):
    """For Prometheus, with METRICS_TOKEN; 404 without one."""
    if not settings.METRICS_TOKEN or not access.carries(request, settings.METRICS_TOKEN):
        raise Http404
    return HttpResponse(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")
