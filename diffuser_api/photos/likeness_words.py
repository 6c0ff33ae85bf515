"""How like the visitor's photos a painted face is, in words that say what to do.

The sentences come in the language of the request, as those of ``sentences``.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from generation.vision.compare import SAME_PERSON, VERY_LIKE

_SENTENCES = {
    "very_like": _("The face is very like the photos."),
    "somewhat_like": _(
        "The face is somewhat like the photos. Painted again, it may come nearer: try the face again."
    ),
    "not_like": _(
        "The face is not like the photos. Try the face again, or a shorter distance. If no face comes out "
        "well, send five other photos: in good light, sharp, from the front and from both sides."
    ),
    "no_face": _(
        "No face was found in this picture. Paint the picture anew, or try another distance or pose."
    ),
}
VERDICTS = tuple(_SENTENCES)
# Where the face alone can't be painted again, the whole picture can.
_WITHOUT_FACE_AGAIN = {
    "somewhat_like": _(
        "The face is somewhat like the photos. It may come nearer if the picture is painted anew."
    ),
    "not_like": _(
        "The face is not like the photos. Have the picture painted anew, or try a shorter distance. If no "
        "face comes out well, send five other photos: in good light, sharp, from the front and from both "
        "sides."
    ),
}


def verdict(likeness: dict) -> str | None:
    """``likeness``: as ``generation.vision.likeness`` measures it. None if the photos' faces aren't known."""
    if not likeness["face"]:
        return "no_face"
    distance = likeness["distance"]
    if distance is None:
        return None
    if distance > SAME_PERSON:
        return "not_like"
    return "very_like" if distance <= VERY_LIKE else "somewhat_like"


def sentence(verdict: str | None, face_again: bool) -> str:
    """``face_again``: whether the face alone can be painted again."""
    if verdict is None:
        return ""
    sentences = _SENTENCES if face_again else _SENTENCES | _WITHOUT_FACE_AGAIN
    return str(sentences[verdict])
