"""Request bodies that are too large or too strange become an answer that says so, never a server error."""

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser


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
