"""Request bodies that are too large or too strange become an answer that says so, never a server error."""

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, TooManyFieldsSent, TooManyFilesSent
from django.http import UnreadablePostError
from rest_framework.exceptions import ParseError, Throttled
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.views import exception_handler

from diffuser_api import turns


def _bound(parser_context, limit: int) -> None:
    request = (parser_context or {}).get("request")
    length = int(request.META.get("CONTENT_LENGTH") or 0) if request else 0
    if length > limit:
        raise ParseError(
            f"The request is {length // 2**20 + 1} MB large; at most {limit // 2**20} MB are taken."
        )


class BoundedJSONParser(JSONParser):
    def parse(self, stream, media_type=None, parser_context=None):
        _bound(parser_context, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply; send one flat object.") from error


class BoundedFormParser(FormParser):
    def parse(self, stream, media_type=None, parser_context=None):
        _bound(parser_context, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        return super().parse(stream, media_type, parser_context)


class BoundedMultiPartParser(MultiPartParser):
    """Room for five photos and one too many; a LoRA fits as well."""

    def parse(self, stream, media_type=None, parser_context=None):
        _bound(parser_context, 6 * settings.MAX_UPLOAD_MB * 2**20)
        return super().parse(stream, media_type, parser_context)


def answer_errors(error, context):
    """DRF's answer, also to what Django refuses while it reads a body (400) and to a full queue (429)."""
    if isinstance(error, TooManyFilesSent | TooManyFieldsSent):
        error = ParseError("The request has too many fields or files.")
    elif isinstance(error, RequestDataTooBig):
        error = ParseError("The request is too large.")
    elif isinstance(error, turns.QueueFull):
        error = Throttled(wait=error.seconds, detail=str(error))
    elif isinstance(error, UnreadablePostError):
        error = ParseError("The request ended, or went silent, before it was whole.")
    elif isinstance(error, SuspiciousOperation | UnicodeError):
        error = ParseError("The request could not be read; check its form and encoding.")
    return exception_handler(error, context)
