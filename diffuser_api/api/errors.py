"""What is answered when something goes wrong: the API's errors, and the site's."""

import sys

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, TooManyFieldsSent, TooManyFilesSent
from django.http import JsonResponse, UnreadablePostError
from django.views import defaults
from rest_framework.exceptions import ParseError, Throttled
from rest_framework.views import exception_handler

from diffuser_api.jobs import queue
from diffuser_api.operations import disk


def answer_errors(error, context):
    """DRF's answer, also to what Django refuses while it reads a body (400) and to a full queue (429)."""
    if isinstance(error, TooManyFilesSent | TooManyFieldsSent):
        error = ParseError("The request has too many fields or files.")
    elif isinstance(error, RequestDataTooBig):
        error = ParseError("The request is too large.")
    elif isinstance(error, queue.QueueFull):
        error = Throttled(wait=error.seconds, detail=str(error))
    elif isinstance(error, UnreadablePostError):
        error = ParseError("The request ended, or went silent, before it was whole.")
    elif isinstance(error, SuspiciousOperation | UnicodeError):
        error = ParseError("The request could not be read; check its form and encoding.")
    return exception_handler(error, context)


def server_error(request):
    """The site's answer to an error that nobody has foreseen: 507 with what to do, if the disk is full."""
    if disk.is_full(sys.exc_info()[1]):
        return JsonResponse({"detail": disk.TEXT}, status=disk.NoRoom.status_code)
    return defaults.server_error(request)
