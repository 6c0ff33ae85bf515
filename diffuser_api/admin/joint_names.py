"""The joints' names for the page's language, in OpenPose's order: ``generation.poses.openpose.NAMES``."""

from django.utils.translation import gettext_lazy as _

JOINT_NAMES = (
    _("nose"),
    _("neck"),
    _("right shoulder"),
    _("right elbow"),
    _("right wrist"),
    _("left shoulder"),
    _("left elbow"),
    _("left wrist"),
    _("right hip"),
    _("right knee"),
    _("right ankle"),
    _("left hip"),
    _("left knee"),
    _("left ankle"),
    _("right eye"),
    _("left eye"),
    _("right ear"),
    _("left ear"),
)
