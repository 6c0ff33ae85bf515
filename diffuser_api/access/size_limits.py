"""A request that is too large is refused before its body is read.

The web server (``diffuser_api.front``) calls ``most_bytes`` as soon as it has a request's header. If the body
is larger, the web server drops the body, and the middleware here refuses the request.
"""

from collections.abc import Mapping

from django.conf import settings
from django.http import HttpResponse, JsonResponse

PHOTOS = 6  # five and one too many, each of at most MAX_UPLOAD_MB; a LoRA fits as well
PICTURES = 20  # on an editor's page
CATALOGUE = 2**30  # a ZIP file; `manage.py import_catalogue` takes larger ones
CATALOGUE_PATH = "/admin/diffuser_api/poi/import/"


def size_limit_middleware(get_response):
    def answer(request):
        limit = most_bytes(request.path_info, request.headers)
        text = request.META.get("CONTENT_LENGTH") or "0"
        length = int(text) if text.isdecimal() else limit + 1
        if length <= limit:
            return get_response(request)
        most = f"{limit // 2**20} MB"
        if request.path_info.startswith("/api/"):
            sentence = f"The request is {length // 2**20 + 1} MB large; at most {most} are taken."
            return JsonResponse({"detail": sentence}, status=400)
        return HttpResponse(f"Send at most {most}.", status=413, content_type="text/plain")

    return answer


def most_bytes(path: str, headers: Mapping[str, str]) -> int:
    """The largest body that a request may have. Only requests with files may be large; in the admin, only
    those with a session's cookie."""
    if not carries_files(headers.get("Content-Type", "")):
        return settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if not path.startswith("/admin/"):
        return PHOTOS * settings.MAX_UPLOAD_MB * 2**20
    logged_in = f"{settings.SESSION_COOKIE_NAME}=" in headers.get("Cookie", "")
    if path.startswith("/admin/login/") or not logged_in:
        return settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return CATALOGUE if path == CATALOGUE_PATH else PICTURES * settings.MAX_UPLOAD_MB * 2**20


def carries_files(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"
