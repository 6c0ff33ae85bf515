"""Thin: a request is validated, ``jobs`` or ``catalogue`` is called, the answer is written."""

from __future__ import annotations

import io

from django.conf import settings
from django.http import FileResponse, Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import get_language_from_request
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.generics import ListAPIView, RetrieveDestroyAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from diffuser_api import (
    access,
    health,
    idempotency,
    jobs,
    loras,
    metrics,
    photo_sentences,
    retention,
    uploads,
    waiting,
)
from diffuser_api.models import Action, ActionImage, Job, LoraModel, Poi, PoiImage
from diffuser_api.parsers import BoundedMultiPartParser
from diffuser_api.pictures import open_stored
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
    WebhookSerializer,
    output_url,
)

THUMBNAIL_SIDE = 512  # pixels
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


def _language(request) -> str:
    """The one of our sentences' languages that the client likes best."""
    return photo_sentences.nearest(get_language_from_request(request))


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
        asked = WebhookSerializer(data=request.data)
        asked.is_valid(raise_exception=True)

        warnings = []

        def make(remember) -> Job:
            photos, found = uploads.clean_photos(request.FILES.getlist("images"), _language(request))
            warnings.extend(found)
            return jobs.create_training(
                [one.clean for one in photos],
                remember,
                faces=[one.embedding for one in photos],
                skins=[one.skin for one in photos],
                client=request.user.client,
                visitor=request.user.visitor,
                webhook_url=asked.validated_data["webhook_url"],
            )

        try:
            job = waiting.wait(request, idempotency.once(request, make))
        except uploads.PhotosRefused as refused:
            return Response({"images": refused.reasons}, status.HTTP_400_BAD_REQUEST)
        answer = {"lora_code": job.code, "status": job.status, "status_url": _status_url(job, request)}
        if warnings:
            answer["warnings"] = warnings
        return Response(answer, _created_or_accepted(job))


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
            won = jobs.finish_training(job, content, values.validated_data.get("likeness"))
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
            serializer = GenerateImageSerializer(data=request.data, context={"request": request})
            serializer.is_valid(raise_exception=True)
            owner = request.user
            return serializer.save(also=remember, client=owner.client, visitor=owner.visitor)

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

    def get_queryset(self):
        return super().get_queryset().visible_to(self.request.user)

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
        job = get_object_or_404(Job.objects.visible_to(request.user), code=code)
        if not jobs.cancel(code):
            return Response({"detail": "The job has finished already."}, status.HTTP_409_CONFLICT)
        job.refresh_from_db()
        return Response(JobSerializer(job, context={"request": request}).data, status.HTTP_202_ACCEPTED)


class LoraDetail(APIView):
    """Away with a LoRA, its training, and the pictures made with it, since the visitor's face is in them."""

    @extend_schema(responses={204: None, 404: ErrorSerializer})
    def delete(self, request, code):
        get_object_or_404(LoraModel.objects.visible_to(request.user), code=code)
        retention.delete(code)
        return Response(status=status.HTTP_204_NO_CONTENT)


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
        small = open_stored(getattr(row, field)).convert("RGB")
    except OSError as error:
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
