"""The tables: the catalogue (places, actions), postcard layouts, clients, LoRAs, jobs and webhooks. No
business rules here."""

import unicodedata
import uuid

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from diffuser_api.catalogue import mask_rules

NAME_LENGTH = 100
DESCRIPTION_LENGTH = 300
VISITOR_LENGTH = 64
URL_LENGTH = 500
UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))  # soft hyphen, spaces of no width
code_validator = RegexValidator(r"^\d{8}$", "A code is eight digits.")


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


class Client(models.Model):
    """A front-end that calls the API. Its jobs and LoRAs are its own; no other client sees them."""

    name = models.CharField(max_length=NAME_LENGTH, unique=True)
    is_active = models.BooleanField(
        default=True, help_text="Off: its tokens are refused, nothing is deleted."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class ApiToken(models.Model):
    """One of a client's tokens; deleting it withdraws it. Only its hash is kept."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="tokens")
    hash = models.CharField(max_length=64, unique=True, editable=False)  # sha256
    start = models.CharField(max_length=12, editable=False)  # of the token, to tell it from others
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        verbose_name = "API token"

    def __str__(self):
        return f"{self.start}..."


class OwnedQuerySet(models.QuerySet):
    def visible_to(self, caller):
        """The rows of the caller's client; of one visitor alone if the caller speaks for one."""
        rows = self.filter(client=caller.client)
        return rows if caller.visitor is None else rows.filter(visitor=caller.visitor)


class Owned(models.Model):
    """A row that belongs to a client, and perhaps to one of its visitors; to none if OPEN_API let it in."""

    # A client with jobs or LoRAs can't be deleted: with no client, everybody on this host could see them.
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.PROTECT)
    visitor = models.CharField(max_length=VISITOR_LENGTH, blank=True)  # X-Visitor of the request
    objects = OwnedQuerySet.as_manager()

    class Meta:
        abstract = True


class Job(Owned):
    """One training or generation. Its row is the truth; only ``jobs.status_changes`` changes the status."""

    class Kind(models.TextChoices):
        TRAINING = "training"
        GENERATION = "generation"

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    code = models.CharField(max_length=8, unique=True, validators=[code_validator])
    kind = models.CharField(max_length=10, choices=Kind)
    status = models.CharField(max_length=9, choices=Status, default=Status.QUEUED, db_index=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    # processes.name() of the run that is at it, also when the job has ended; empty when the run has left it
    worker = models.CharField(max_length=64, blank=True, editable=False)
    parameters = models.JSONField(default=dict)
    poi_image = models.ForeignKey(PoiImage, null=True, blank=True, on_delete=models.SET_NULL)
    action_image = models.ForeignKey(ActionImage, null=True, blank=True, on_delete=models.SET_NULL)
    lora = models.ForeignKey("LoraModel", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    seed = models.PositiveBigIntegerField(null=True, blank=True)
    step = models.CharField(max_length=20, blank=True)
    steps = models.JSONField(default=list)
    progress = models.FloatField(default=0.0)  # of the whole job, 0..1
    timings = models.JSONField(default=list)
    tree_peak_mb = models.FloatField(default=0.0)  # of the worker's processes together, seen at heartbeats
    log = models.TextField(blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    gave_up = models.BooleanField(default=False, editable=False)  # failed since every attempt's process died
    token_hash = models.CharField(max_length=64, blank=True)  # sha256 of the one-time token of a training
    output = models.FileField(upload_to="outputs/", blank=True)
    webhook_url = models.CharField(max_length=URL_LENGTH, blank=True)
    # addresses.mark_of, if it is known
    sender = models.CharField(max_length=16, blank=True, db_default="", editable=False)
    shared_until = models.DateTimeField(null=True, blank=True)  # by its visitor, see studio.sharing
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True, db_index=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self):
        return f"{self.kind} {self.code}"

    @property
    def is_finished(self) -> bool:
        return self.status not in (self.Status.QUEUED, self.Status.RUNNING)


class IdempotencyKey(models.Model):
    """The key of a request that a client may repeat without getting a second job."""

    owner = models.CharField(max_length=100, blank=True, default="")  # client and visitor
    key = models.CharField(max_length=255)
    body_hash = models.CharField(max_length=64)  # sha256 of the request's address and fields
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="unique_key_of_owner")]

    def __str__(self):
        return self.key


class TrainingPhoto(models.Model):
    """One of the five cleaned photos of a training, kept until the training ends."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="photos")
    index = models.PositiveSmallIntegerField()
    file = models.FileField(upload_to="photos/")
    face = models.JSONField(null=True, blank=True)  # embedding, 128 numbers
    skin = models.JSONField(null=True, blank=True)  # CIE L*a*b*

    class Meta:
        ordering = ["index"]

    def __str__(self):
        return f"photo {self.index} of {self.job_id}"


class UsableLoras(models.Manager.from_queryset(OwnedQuerySet)):
    def get_queryset(self):
        return super().get_queryset().filter(is_erased=False)


class LoraModel(Owned):
    """A visitor's trained face model. It has the code of the training that made it."""

    code = models.CharField(max_length=8, unique=True, validators=[code_validator])
    file = models.FileField(upload_to="loras/")
    faces = models.JSONField(default=list, blank=True)  # the photos' embeddings
    skin_tone = models.CharField(max_length=16, blank=True)  # of the photos, for the body's prompt
    step = models.PositiveIntegerField(null=True, blank=True)  # of the chosen checkpoint, if one was chosen
    distances = models.JSONField(default=dict, blank=True)  # step: distance of its pictures to the photos
    job = models.OneToOneField(
        Job, null=True, blank=True, on_delete=models.SET_NULL, related_name="trained_lora"
    )
    is_erased = models.BooleanField(default=False, editable=False)  # no job is made or goes on with it
    created_at = models.DateTimeField(auto_now_add=True)
    objects = UsableLoras()  # one that is being erased is gone for everybody
    with_erased = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "LoRA"

    def __str__(self):
        return self.code


class Webhook(models.Model):
    """One message to a job's webhook_url, about a change of its status."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        DEAD = "dead"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="webhooks")
    event = models.CharField(max_length=20)  # job.succeeded
    host = models.CharField(max_length=255)  # of the URL
    body = models.TextField()  # as it is signed and sent
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    last_result = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["status", "next_try_at"], name="webhooks_due")]

    def __str__(self):
        return f"{self.event} of {self.job_id}"
