"""A finished picture as a postcard."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import APIView

from diffuser_api.api import postcards
from diffuser_api.api.job_serializer import output_url
from diffuser_api.api.serializers import ErrorSerializer
from diffuser_api.models import Job

DPI_HEADER, PERSON_DPI_HEADER = "X-Picture-DPI", "X-Person-DPI"


class Postcard(APIView):
    """A finished picture as a postcard of 15 x 10 cm: front and back as a PDF with its fonts, or one side as
    a picture of 300 dots per inch. The header X-Picture-DPI says how many of the picture's own pixels are
    printed on an inch, and X-Person-DPI how many of those that the models painted: in a large place, they
    paint the person smaller, and the person is enlarged. Nothing of the request is kept."""

    @extend_schema(
        request=postcards.PostcardSerializer,
        responses={
            **{(200, kind): OpenApiTypes.BINARY for kind in postcards.FORMATS.values()},
            400: OpenApiResponse(description="Field: list of reasons."),
            404: ErrorSerializer,
            409: OpenApiResponse(ErrorSerializer, "There is no picture yet."),
            429: OpenApiResponse(ErrorSerializer, "Cards took much work just now: see Retry-After."),
        },
    )
    def post(self, request, code):
        pictures = Job.objects.visible_to(request.user).filter(kind=Job.Kind.GENERATION)
        job = get_object_or_404(pictures, code=code)
        asked = postcards.PostcardSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        if job.status != Job.Status.SUCCEEDED:
            return Response({"detail": "There is no picture yet."}, status.HTTP_409_CONFLICT)
        try:
            with postcards.counted_work(request.user.address):
                printed = postcards.print_card(job, asked.validated_data, output_url(job, request))
        except OSError as error:
            raise Http404 from error
        headers = {DPI_HEADER: str(printed.dpi), PERSON_DPI_HEADER: str(printed.person_dpi)}
        headers["Content-Disposition"] = f'inline; filename="{printed.name}"'
        return HttpResponse(printed.content, content_type=printed.content_type, headers=headers)
