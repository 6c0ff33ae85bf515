"""What is larger than a visitor's photos may be is refused before anything of it is read."""

from django.conf import settings
from django.http import HttpResponse

PHOTOS = 6  # five and one too many, each of at most MAX_UPLOAD_MB
NOT_OURS = ("/api/", "/admin/")


def bounded_middleware(get_response):
    def answer(request):
        limit = PHOTOS * settings.MAX_UPLOAD_MB
        length = request.META.get("CONTENT_LENGTH") or "0"
        ours = not request.path.startswith(NOT_OURS)
        if ours and not (length.isdecimal() and int(length) <= limit * 2**20):
            return HttpResponse(f"Send at most {limit} MB.", status=413, content_type="text/plain")
        return get_response(request)

    return answer
