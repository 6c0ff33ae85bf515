"""Stored words as the admin's pages call them."""

from django.utils.translation import gettext_lazy as _

STEP_NAMES = {
    "pose": _("pose"),
    "detail": _("detail"),
    "harmonize": _("harmonize"),
    "face": _("face"),
    "train": _("training"),
}
