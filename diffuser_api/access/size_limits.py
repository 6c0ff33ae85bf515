"""A request that is too large is refused before its body is read.

Its header Content-Length is enough: the server passes on that many bytes, and none where it is missing.
"""

from django.conf import settings
from django.http import HttpResponse, JsonResponse

PHOTOS = 6  # five and one too many, each of at most MAX_UPLOAD_MB; a LoRA fits as well
UNLIMITED = "/admin/"  # editors send whole catalogues


def size_limit_middleware(get_response):
    def answer(request):
        text, limit = request.META.get("CONTENT_LENGTH") or "0", _limit(request)
        length = int(text) if text.isdecimal() else limit + 1
        if length <= limit or request.path.startswith(UNLIMITED):
            return get_response(request)
        most = f"{limit // 2**20} MB"
        if request.path.startswith("/api/"):
            sentence = f"The request is {length // 2**20 + 1} MB large; at most {most} are taken."
            return JsonResponse({"detail": sentence}, status=400)
        return HttpResponse(f"Send at most {most}.", status=413, content_type="text/plain")

    return answer


def _limit(request) -> int:
    """In bytes: an API call without files is small."""
    if request.path.startswith("/api/") and request.content_type != "multipart/form-data":
        return settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return PHOTOS * settings.MAX_UPLOAD_MB * 2**20
