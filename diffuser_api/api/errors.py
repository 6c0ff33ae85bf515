"""Which answer the API gives to which error, and which answer the whole site gives to an unexpected error."""

import sys
from types import ModuleType

from django.conf import settings
from django.core.exceptions import (
    ObjectDoesNotExist,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import reverse
from django.views import defaults
from rest_framework.exceptions import APIException, NotFound, ParseError, Throttled, ValidationError
from rest_framework.views import exception_handler

from diffuser_api import audit, storage, wording
from diffuser_api.access import throttles
from diffuser_api.api.idempotency import HEADER
from diffuser_api.catalogue import fitting
from diffuser_api.jobs import orders, queue
from diffuser_api.operations import checks, database, disk

NOT_FOUND = "There is no such code, or it is another client's or visitor's."
KEY_USED = f"This {HEADER} was sent with another request before; use a new one for each new job."


def answer_errors(error, context):
    """Django REST framework's answer to an error of a view. Other errors are first converted to its
    exceptions."""
    if isinstance(error, ValidationError):
        audit.words_refused(context["request"].client, codes_of(error))
    return exception_handler(_as_api_error(error), context)


def codes_of(error: ValidationError) -> set[str]:
    """Of all fields together."""
    return _codes(error.get_codes())


def _codes(nested) -> set[str]:
    """Lists and dictionaries of codes, in each other."""
    if isinstance(nested, str):
        return {nested}
    parts = nested.values() if isinstance(nested, dict) else nested
    return set().union(*map(_codes, parts))


def _as_api_error(error: Exception) -> Exception:
    match error:
        case Http404() | ObjectDoesNotExist():  # the latter: a row that was deleted meanwhile
            return NotFound(NOT_FOUND)
        case queue.QueueFull():
            return Throttled(wait=error.seconds, detail=str(error))
        case throttles.TooMuchWork():
            return Throttled(wait=error.seconds, detail=str(error))
        case orders.KeyUsedOtherwise():
            return _refusal(422, KEY_USED)
        case checks.ModelsMissing():
            return _refusal(503, error)
        case disk.NoRoom():
            return _refusal(507, error)
        case DatabaseError() | InterfaceError() if database.is_away(error) and not disk.is_full(error):
            return _away(database)
        case _ if storage.is_away(error):
            return _away(storage)
        case fitting.TooSmall():
            return ValidationError({"action_shot_type": [str(error)]})
        case wording.WordsRefused():
            return ValidationError({"other_details": [str(error)]})
        case TooManyFilesSent() | TooManyFieldsSent():
            return ParseError(_too_many(error))
        case RequestDataTooBig():
            return ParseError("The request is too large.")
        case UnreadablePostError():
            return ParseError("The request ended, or went silent, before it was whole.")
        case RecursionError():  # of the JSON parser
            return ParseError("The JSON is nested too deeply; send one flat object.")
        case SuspiciousOperation() | UnicodeError():
            return ParseError("The request could not be read; check its form and encoding.")
    return error


def no_such_call(request, path):
    """The answer to every URL under /api/ that is no call."""
    text = f"There is no call at this address; all calls are listed at {reverse('docs')}."
    return JsonResponse({"detail": text}, status=404)


def _away(part: ModuleType) -> APIException:
    """``part`` is ``database`` or ``storage``."""
    refusal = _refusal(503, part.TEXT)
    refusal.wait = part.SECONDS_TO_RETRY
    return refusal


def _refusal(status: int, error: Exception | str) -> APIException:
    refusal = APIException(str(error))
    refusal.status_code = status
    return refusal


def server_error(request):
    """507 if the disk is full, 503 if the database or the storage can't be reached, all with advice.
    Otherwise Django's page for status 500."""
    error = sys.exc_info()[1]
    if disk.is_full(error):
        return JsonResponse({"detail": disk.TEXT}, status=507)
    for part in (storage, database):
        if part.is_away(error):
            later = {"Retry-After": str(part.SECONDS_TO_RETRY)}
            return JsonResponse({"detail": part.TEXT}, status=503, headers=later)
    return defaults.server_error(request)


def _too_many(error: TooManyFilesSent | TooManyFieldsSent) -> str:
    if isinstance(error, TooManyFilesSent):
        return f"The request has more than {settings.DATA_UPLOAD_MAX_NUMBER_FILES} files."
    return f"The request has more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} fields."


def bad_request(request, exception):
    """The answer 400 outside the API. Django's own page gives no reason."""
    if isinstance(exception, TooManyFilesSent | TooManyFieldsSent):
        return HttpResponse(_too_many(exception), status=400, content_type="text/plain")
    return defaults.bad_request(request, exception)
