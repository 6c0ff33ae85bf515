"""The calls for jobs: status, list, cancel, delete."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.generics import ListAPIView, RetrieveDestroyAPIView
from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response
from rest_framework.views import APIView

from diffuser_api import audit
from diffuser_api.api import digits
from diffuser_api.api.job_serializer import COLUMNS, JobSerializer
from diffuser_api.api.serializers import ErrorSerializer
from diffuser_api.jobs import deletion, status_changes
from diffuser_api.models import Job


class NewestFirst(PageNumberPagination):
    page_size, page_size_query_param, max_page_size = 20, "page_size", 100
    invalid_page_message = "There is no such page: the list has fewer."
    django_paginator_class = digits.Pages

    def get_page_size(self, request):
        is_number = digits.are_whole(request.query_params.get(self.page_size_query_param, ""))
        return super().get_page_size(request) if is_number else self.page_size


class JobList(ListAPIView):
    """The caller's trainings and pictures, newest first."""

    queryset = Job.objects.select_related("client")
    serializer_class = JobSerializer
    pagination_class = NewestFirst

    def get_queryset(self):
        return super().get_queryset().visible_to(self.request.user).order_by("-created_at", "-pk")


@extend_schema_view(
    get=extend_schema(
        description="How far a job is. Whoever asks again and again sends the answer's `ETag` back in "
        "`If-None-Match`. The answer is then 304, without a body, as long as nothing has changed. The "
        "estimate of a job that waits may have changed by a few seconds.",
        parameters=[
            OpenApiParameter(
                "If-None-Match",
                location=OpenApiParameter.HEADER,
                description="The ETag of the answer that you have.",
            ),
            OpenApiParameter(
                "ETag",
                location=OpenApiParameter.HEADER,
                response=[200, 304],
                description="Changes when the answer does.",
            ),
        ],
        responses={200: JobSerializer, 304: OpenApiResponse(description="Nothing has changed.")},
    ),
    delete=extend_schema(
        description="Away with a job and all that it made. A training takes its LoRA and the pictures made "
        "with that along, since the visitor's face is in them."
    ),
)
class JobDetail(RetrieveDestroyAPIView):
    """A job's status, progress and result."""

    queryset = Job.objects.all()
    serializer_class = JobSerializer
    lookup_field = "code"

    def get_queryset(self):
        return super().get_queryset().visible_to(self.request.user)

    def get(self, request, code):
        job = get_object_or_404(self.get_queryset().only(*COLUMNS), code=code)
        serializer = self.get_serializer(job)
        unread = HttpResponse(headers={"ETag": serializer.version(job)})
        answer = get_conditional_response(request, unread["ETag"], response=unread)
        if answer is not unread:
            return answer
        return Response(serializer.data, headers={"ETag": unread["ETag"]})

    def perform_destroy(self, job):
        deletion.delete(job.code, audit.client(job.client))


class JobCancel(APIView):
    """Cancel a job. A queued job ends at once, a running one within two seconds. Its working files are
    deleted."""

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
        if not status_changes.cancel(code):
            return Response({"detail": "The job has finished already."}, status.HTTP_409_CONFLICT)
        job.refresh_from_db()
        return Response(JobSerializer(job, context={"request": request}).data, status.HTTP_202_ACCEPTED)
