"""The charset in a request's Content-Type. Django decodes the query of the address by it, before any
middleware could catch an error. Python has codecs that fail there, such as ``hex``, which is for no text."""

import codecs

from django.utils.http import parse_header_parameters

ASCII = bytes(range(128))


def checked(application):
    """Wraps the WSGI application. Of a Content-Type that can't be used, only the media type is left: a form
    with files is refused then, and JSON is UTF-8 in any case."""

    def answer(environ, start_response):
        content_type = environ.get("CONTENT_TYPE", "")
        if content_type and not _is_usable(content_type):
            environ["CONTENT_TYPE"] = content_type.partition(";")[0]
        return application(environ, start_response)

    return answer


def _is_usable(content_type: str) -> bool:
    """Whether the charset is for text and agrees with ASCII. Django ignores names that nobody knows."""
    try:
        charset = parse_header_parameters(content_type)[1].get("charset", "utf-8")
        if not _is_known(charset):
            return True
        return ASCII.decode(charset) == ASCII.decode()
    except (LookupError, ValueError):
        return False


def _is_known(charset: str) -> bool:
    try:
        return bool(codecs.lookup(charset))
    except LookupError:
        return False
