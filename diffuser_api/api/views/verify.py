"""Whether a picture is ours and unchanged; never whose."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from diffuser_api.access.addresses import address_of
from diffuser_api.api.serializers import ErrorSerializer, PhotoCheckSerializer, VerifyAnswerSerializer
from diffuser_api.photos.verify import NotVerified, verify


class Verify(APIView):
    """Which marks a picture carries: PNG, JPEG or WebP. It is not kept, and needs no token."""

    authentication_classes = permission_classes = []
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": PhotoCheckSerializer},
        responses={200: VerifyAnswerSerializer, 400: ErrorSerializer},
    )
    def post(self, request):
        sent = PhotoCheckSerializer(data=request.FILES)
        sent.is_valid(raise_exception=True)
        try:
            return Response(verify(sent.validated_data["image"], address_of(request)).told)
        except NotVerified as error:
            return Response({"detail": str(error)}, status.HTTP_400_BAD_REQUEST)
