"""The reasons for which a photo is refused, as sentences that say what is wrong and what to do.

They come in the language of the request, which Django's LocaleMiddleware has activated. English is written
here, each other language in ``diffuser_api/locale``. ``django-admin makemessages`` and ``compilemessages``,
run in this app's folder, renew its files.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from generation.models.profiles import get_profile

_SENTENCES = {
    "wrong_count": _("Send exactly five photos; {count} arrived."),
    "empty": _("The file is empty; choose the photo again."),
    "too_large": _("The file is larger than {limit} MB; send a smaller one."),
    "not_a_picture": _("The file is no JPEG, PNG, WebP or HEIC picture; send the photo in one of these."),
    "too_many_pixels": _("The photo has more than {limit} megapixels; send it smaller."),
    "too_small": _("The photo is {width} x {height} pixels; at least {limit} on each side."),
    "too_narrow": _(
        "The photo is {width} x {height} pixels; no side may be more than {limit} times the other: crop it."
    ),
    "animated": _("The picture is animated; send a still photo."),
    "broken": _("The picture is damaged or cut off; send the original file again."),
    "too_heavy": _(
        "The picture takes too much memory or time to open; save it as a plain JPEG and send that."
    ),
    "duplicate": _("This is the same picture as photo {twin}; send five different ones."),
    "no_face": _("No face can be seen; send a photo in which you look towards the camera."),
    "several_faces": _(
        "There are {count} faces; send a photo in which you are alone, or crop the others away."
    ),
    "face_too_small": _(
        "The face is only {width} pixels wide, at least {limit} are needed; come nearer or crop the photo."
    ),
    "face_cut_off": _("The face is cut off by the photo's edge; send one in which all of it can be seen."),
    "too_dark": _("The photo is too dark; take one with light on your face."),
    "too_bright": _("The face is overexposed; take a photo out of direct light or without flash."),
    "blurred": _("The face is blurred; hold the camera still, focus on the face, and clean the lens."),
    "eyes_hidden": _("The eyes are covered; take off the sunglasses."),
    "another_person": _(
        "This seems to be another person than in the other photos; all five must show the same one."
    ),
}
# Where the models know drawings only.
_OF_DRAWINGS = {
    "no_face": _(
        "No face is drawn here. This server's models know drawings only: photographs of real people are not "
        "learned."
    ),
}
CODES = tuple(_SENTENCES)


def sentence(code: str, **values: int) -> str:
    """``values``: the numbers that this code's sentence speaks of."""
    special = _OF_DRAWINGS if get_profile().is_drawn else {}
    return special.get(code, _SENTENCES[code]).format(**values)
