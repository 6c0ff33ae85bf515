"""The catalogue's tables: places, actions, and the layouts of printed postcards. No business rules here."""

import unicodedata

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from diffuser_api.catalogue import mask_rules
from diffuser_api.languages import Translated

NAME_LENGTH = 100
DESCRIPTION_LENGTH = 300
UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))  # soft hyphen, spaces of no width


def one_line(text):
    """The same words in the same characters, however they were typed: composed Unicode, single spaces."""
    if not isinstance(text, str):
        return text
    return " ".join(unicodedata.normalize("NFC", text).translate(UNSEEN).split())


class LineFormField(forms.CharField):
    def to_python(self, value):
        return super().to_python(one_line(value))


class LineField(models.CharField):
    """Text that people read and type: stored, and looked for, as ``one_line`` makes it."""

    def deconstruct(self):
        """A migration needs to know no more than that it is text."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def to_python(self, value):
        return super().to_python(one_line(value))

    def get_prep_value(self, value):
        return super().get_prep_value(one_line(value))

    def pre_save(self, instance, add):
        setattr(instance, self.attname, one_line(getattr(instance, self.attname)))
        return super().pre_save(instance, add)

    def formfield(self, **kwargs):
        return super().formfield(**{"form_class": LineFormField, **kwargs})


class ShotType(models.TextChoices):
    CLOSE = "CLS", _("close")
    MEDIUM = "MES", _("medium")
    FAR = "FUS", _("far")


NEAR_TO_FAR = models.Case(
    *(models.When(shot_type=shot, then=place) for place, shot in enumerate(ShotType.values)),
    output_field=models.IntegerField(),
)


class Poi(Translated):
    """A point of interest: a named place."""

    name = LineField(_("name"), max_length=NAME_LENGTH, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name, verbose_name_plural = _("place"), _("places")

    def __str__(self):
        return self.shown_name


class PoiImage(Translated):
    """One background photograph of a place."""

    TRANSLATED = ("name", "description")
    poi = models.ForeignKey(Poi, on_delete=models.CASCADE, related_name="images", verbose_name=_("place"))
    name = LineField(_("name"), max_length=NAME_LENGTH)
    description = LineField(
        _("description"),
        max_length=DESCRIPTION_LENGTH,
        help_text=_("What is to be seen, in English; goes into the prompt."),
    )
    image = models.ImageField(_("picture"), upload_to="pois/")
    position = models.PositiveSmallIntegerField(
        _("position"), default=0, db_default=0, help_text=_("The lowest is offered first.")
    )

    class Meta:
        ordering = ["position", "name"]
        verbose_name, verbose_name_plural = _("place image"), _("place images")
        constraints = [models.UniqueConstraint(fields=["poi", "name"], name="unique_image_name_of_poi")]

    def __str__(self):
        return f"{self.poi}: {self.shown_name}"


class Action(Translated):
    """A thing the subject does."""

    TRANSLATED = ("name", "description")
    name = LineField(_("name"), max_length=NAME_LENGTH, unique=True)
    description = LineField(
        _("description"),
        max_length=DESCRIPTION_LENGTH,
        help_text=_(
            "What the subject does, in English; goes into the prompt, and free text is compared with it."
        ),
    )

    class Meta:
        ordering = ["name"]
        verbose_name, verbose_name_plural = _("action"), _("actions")

    def __str__(self):
        return self.shown_name


class ActionImage(models.Model):
    """An action at one shot type: what guides the pose, and where subject and face may be painted."""

    class Kind(models.TextChoices):
        SKELETON = "skeleton", _("OpenPose skeleton")
        MANNEQUIN = "mannequin", _("mannequin")
        PHOTO = "photo", _("photograph of a person")

    action = models.ForeignKey(
        Action, on_delete=models.CASCADE, related_name="images", verbose_name=_("action")
    )
    shot_type = models.CharField(_("shot type"), max_length=3, choices=ShotType)
    kind = models.CharField(_("kind"), max_length=9, choices=Kind, default=Kind.SKELETON)
    image = models.ImageField(
        _("picture"),
        upload_to="actions/",
        help_text=_("An OpenPose skeleton is used as it is; others are turned into one."),
    )
    skeleton = models.ImageField(
        _("skeleton"), upload_to="actions/", editable=False, help_text=_("What ControlNet gets.")
    )
    subject_mask = models.ImageField(
        _("subject mask"), upload_to="actions/", help_text=_("White where the subject may be painted.")
    )
    face_mask = models.ImageField(
        _("face mask"), upload_to="actions/", help_text=_("White where the face may be painted.")
    )

    class Meta:
        ordering = [NEAR_TO_FAR]
        verbose_name, verbose_name_plural = _("action image"), _("action images")
        constraints = [models.UniqueConstraint(fields=["action", "shot_type"], name="unique_shot_of_action")]

    def __str__(self):
        return f"{self.action}, {self.get_shot_type_display()}"

    def clean(self):
        if self.image and self.skeleton and self.subject_mask and self.face_mask:
            errors = mask_rules.problems(self.image, self.skeleton, self.subject_mask, self.face_mask)
            if errors:
                raise ValidationError(errors)


class PostcardLayout(Translated):
    """How a picture is printed as a postcard. Without any row there are two built-in ones."""

    class Style(models.TextChoices):
        FRAMED = "framed", _("the whole picture, with words beside it")
        FULL_BLEED = "full_bleed", _("the picture over the whole card")

    class Corner(models.TextChoices):
        TOP_LEFT = "top-left", _("top left")
        TOP_RIGHT = "top-right", _("top right")
        BOTTOM_LEFT = "bottom-left", _("bottom left")
        BOTTOM_RIGHT = "bottom-right", _("bottom right")

    name = LineField(_("name"), max_length=NAME_LENGTH, unique=True, help_text=_("Visitors choose by it."))
    style = models.CharField(_("style"), max_length=10, choices=Style, default=Style.FRAMED)
    logo = models.ImageField(
        _("logo"),
        upload_to="postcards/",
        blank=True,
        help_text=_("Printed up to 28 x 13 mm; may be transparent."),
    )
    logo_corner = models.CharField(
        _("corner of the logo"), max_length=12, choices=Corner, default=Corner.BOTTOM_RIGHT
    )
    font = models.FileField(
        _("font"),
        upload_to="postcards/",
        blank=True,
        help_text=_("A TrueType file whose licence lets it be embedded; else Noto Serif is used."),
    )
    position = models.PositiveSmallIntegerField(
        _("position"), default=0, help_text=_("The lowest is offered first.")
    )

    class Meta:
        ordering = ["position", "name"]
        verbose_name, verbose_name_plural = _("postcard layout"), _("postcard layouts")

    def __str__(self):
        return self.shown_name
