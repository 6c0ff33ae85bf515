"""The catalogue's tables: places, actions, and the layouts of printed postcards. No business rules here."""

import unicodedata

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from diffuser_api.catalogue import mask_rules

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
    CLOSE = "CLS", "close"
    MEDIUM = "MES", "medium"
    FAR = "FUS", "far"


NEAR_TO_FAR = models.Case(
    *(models.When(shot_type=shot, then=place) for place, shot in enumerate(ShotType.values)),
    output_field=models.IntegerField(),
)


class Poi(models.Model):
    """A point of interest: a named place."""

    name = LineField(max_length=NAME_LENGTH, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "place"

    def __str__(self):
        return self.name


class PoiImage(models.Model):
    """One background photograph of a place."""

    poi = models.ForeignKey(Poi, on_delete=models.CASCADE, related_name="images", verbose_name="place")
    name = LineField(max_length=NAME_LENGTH)
    description = LineField(
        max_length=DESCRIPTION_LENGTH, help_text="What is to be seen; goes into the prompt."
    )
    image = models.ImageField(upload_to="pois/")

    class Meta:
        ordering = ["name"]
        verbose_name = "place image"
        constraints = [models.UniqueConstraint(fields=["poi", "name"], name="unique_image_name_of_poi")]

    def __str__(self):
        return f"{self.poi}: {self.name}"


class Action(models.Model):
    """A thing the subject does."""

    name = LineField(max_length=NAME_LENGTH, unique=True)
    description = LineField(
        max_length=DESCRIPTION_LENGTH,
        help_text="What the subject does; goes into the prompt, and free text is compared with it.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class ActionImage(models.Model):
    """An action at one shot type: what guides the pose, and where subject and face may be painted."""

    class Kind(models.TextChoices):
        SKELETON = "skeleton", "OpenPose skeleton"
        MANNEQUIN = "mannequin", "mannequin"
        PHOTO = "photo", "photograph of a person"

    action = models.ForeignKey(Action, on_delete=models.CASCADE, related_name="images")
    shot_type = models.CharField(max_length=3, choices=ShotType)
    kind = models.CharField(max_length=9, choices=Kind, default=Kind.SKELETON)
    image = models.ImageField(
        upload_to="actions/", help_text="An OpenPose skeleton is used as it is; others are turned into one."
    )
    skeleton = models.ImageField(upload_to="actions/", editable=False, help_text="What ControlNet gets.")
    subject_mask = models.ImageField(
        upload_to="actions/", help_text="White where the subject may be painted."
    )
    face_mask = models.ImageField(upload_to="actions/", help_text="White where the face may be painted.")

    class Meta:
        ordering = [NEAR_TO_FAR]
        verbose_name = "action image"
        constraints = [models.UniqueConstraint(fields=["action", "shot_type"], name="unique_shot_of_action")]

    def __str__(self):
        return f"{self.action} {self.shot_type}"

    def clean(self):
        if self.image and self.skeleton and self.subject_mask and self.face_mask:
            errors = mask_rules.problems(self.image, self.skeleton, self.subject_mask, self.face_mask)
            if errors:
                raise ValidationError(errors)


class PostcardLayout(models.Model):
    """How a picture is printed as a postcard. Without any row there are two built-in ones."""

    class Style(models.TextChoices):
        FRAMED = "framed", "the whole picture, with words beside it"
        FULL_BLEED = "full_bleed", "the picture over the whole card"

    class Corner(models.TextChoices):
        TOP_LEFT = "top-left", "top left"
        TOP_RIGHT = "top-right", "top right"
        BOTTOM_LEFT = "bottom-left", "bottom left"
        BOTTOM_RIGHT = "bottom-right", "bottom right"

    name = LineField(max_length=NAME_LENGTH, unique=True, help_text="Visitors choose by it.")
    style = models.CharField(max_length=10, choices=Style, default=Style.FRAMED)
    logo = models.ImageField(
        upload_to="postcards/", blank=True, help_text="Printed up to 28 x 13 mm; may be transparent."
    )
    logo_corner = models.CharField(max_length=12, choices=Corner, default=Corner.BOTTOM_RIGHT)
    font = models.FileField(
        upload_to="postcards/",
        blank=True,
        help_text="A TrueType file whose licence lets it be embedded; else Noto Serif is used.",
    )
    position = models.PositiveSmallIntegerField(default=0, help_text="The lowest is offered first.")

    class Meta:
        ordering = ["position", "name"]
        verbose_name = "postcard layout"

    def __str__(self):
        return self.name
