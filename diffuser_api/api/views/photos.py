"""A visitor's photo, checked before it is sent for a training."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from diffuser_api.api.serializers import PhotoCheckAnswerSerializer, PhotoCheckSerializer
from diffuser_api.photos import gate


class PhotoCheck(APIView):
    """Check whether a photo would be accepted for a training, before the five are sent. The photo is not
    kept."""

    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": PhotoCheckSerializer},
        responses={200: PhotoCheckAnswerSerializer, 400: OpenApiResponse(description="No file `image`.")},
    )
    def post(self, request):
        serializer = PhotoCheckSerializer(data=request.FILES)
        serializer.is_valid(raise_exception=True)
        accepted, findings, _ = gate.check_photo(serializer.validated_data["image"], request.user.address)
        return Response({"accepted": accepted, "findings": findings})
