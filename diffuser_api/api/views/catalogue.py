"""The calls for places and actions, and small pictures of both."""

from __future__ import annotations

import threading
from functools import lru_cache

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe
from rest_framework.generics import ListAPIView

from diffuser_api.api.catalogue_serializers import ActionSerializer, PoiSerializer
from diffuser_api.models import Action, ActionImage, Poi, PoiImage
from diffuser_api.photos.pictures import as_jpeg, open_stored

THUMBNAIL_SIDE = 512  # pixels


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


def _thumbnail(model, pk: int, field: str, allowed: set[str]) -> HttpResponse:
    if field not in allowed:
        raise Http404
    file = getattr(get_object_or_404(model, pk=pk), field)
    try:
        changed = file.storage.stamp(file.name)
        with _making:  # an old place can have 40 megapixels: one at a time
            content = _small(model, pk, field, file.name, changed)
    except (OSError, ValueError) as error:
        raise Http404 from error
    headers = {"Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "cross-origin"}
    return HttpResponse(content, content_type="image/jpeg", headers=headers)


_making = threading.Lock()


@lru_cache(maxsize=256)  # of some 30 kB
def _small(model, pk: int, field: str, name: str, changed: int) -> bytes:
    """Made once for each file: ``name`` and ``changed`` say which. Raises OSError."""
    kind = "mask" if field.endswith("mask") else "skeleton" if field == "skeleton" else "picture"
    small = open_stored(getattr(get_object_or_404(model, pk=pk), field), kind)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return as_jpeg(small)


@require_safe
def poi_thumbnail(request, pk, field):
    return _thumbnail(PoiImage, pk, field, {"image"})


@require_safe
def action_thumbnail(request, pk, field):
    return _thumbnail(ActionImage, pk, field, {"image", "skeleton", "subject_mask", "face_mask"})
