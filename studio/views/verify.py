"""For everybody, also where the studio is closed: which marks does a picture carry?"""

from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from diffuser_api.access import throttles
from diffuser_api.access.addresses import address_of
from diffuser_api.marking import keys
from diffuser_api.photos.verify import NotVerified, Verified, verify
from studio import sentences, visitors


@require_http_methods(["GET", "HEAD", "POST"])
def page(request):
    context, status = {}, 200
    if request.method == "POST":
        context, status = _answer(request)
    response = render(request, "studio/verify.html", context, status=status)
    response.headers["Content-Security-Policy"] = visitors.CONTENT_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-store"
    return response


def _answer(request) -> tuple[dict, int]:
    if "image" not in request.FILES:
        return {"nothing_sent": True}, 400
    try:
        found = verify(request.FILES["image"], address_of(request))
        told = found.told
        context = {"signer": _signer(told["signer"]), "made_at": _moment(told["made_at"])}
        return {"found": told, "code": _code(request, found), **context}, 200
    except NotVerified as error:
        return {"problem": str(error)}, 400
    except throttles.TooMuchWork as error:
        return {"problem": sentences.not_taken(error)}, 429


def _code(request, found: Verified) -> str:
    """The picture's code is the operator's to know: for staff who may look at jobs."""
    user = request.user
    return found.code if user.is_staff and user.has_perm("diffuser_api.view_job") else ""


def _signer(name: str) -> str:
    """Every installation's own certificate has the same name, which is no proper name."""
    return gettext("a Cartolina installation") if name == keys.NAME else name


def _moment(text: str):
    """None for a text of another signer that is no date."""
    try:
        return parse_datetime(text)
    except ValueError:
        return None
