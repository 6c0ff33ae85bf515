"""The tables: the catalogue's (see ``catalogue_tables``), clients, LoRAs, jobs and webhooks. No business
rules here."""

import uuid

from django.core.validators import RegexValidator
from django.db import models

from diffuser_api.catalogue_tables import (  # noqa: F401  Django looks for tables in this module
    NAME_LENGTH,
    Action,
    ActionImage,
    Poi,
    PoiImage,
    PostcardLayout,
    ShotType,
)

VISITOR_LENGTH = 64
URL_LENGTH = 500
code_validator = RegexValidator(r"^\d{8}$", "A code is eight digits.")


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
    # of ``steps``, the one for which the job was handed on to another worker; empty: the first
    next_step = models.CharField(max_length=20, blank=True, db_default="", editable=False)
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
    def action_name(self) -> str:
        """In the reader's language; as it was when the action is gone."""
        return self.action_image.action.shown_name if self.action_image else self.parameters.get("action", "")

    @property
    def is_finished(self) -> bool:
        return self.status not in (self.Status.QUEUED, self.Status.RUNNING)


class Worker(models.Model):
    """A process that runs jobs, and the steps that it takes them for; kept by ``operations.workers``."""

    name = models.CharField(max_length=64, unique=True)  # processes.name()
    steps = models.JSONField(default=list)
    seen_at = models.DateTimeField()

    def __str__(self):
        return self.name


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
    looks = models.JSONField(null=True, blank=True)  # hair, beard, glasses: generation.vision.looks

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
    # Hair, beard and glasses, likewise. The default in the database is for the version before.
    looks = models.JSONField(default=dict, db_default={}, blank=True)
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
