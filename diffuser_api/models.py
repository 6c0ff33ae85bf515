"""The tables: the catalogue's (see ``catalogue_tables``), clients, LoRAs, jobs and webhooks. No business
rules here."""

import uuid

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

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
code_validator = RegexValidator(r"^\d{8}$", _("A code is eight digits."))


class Client(models.Model):
    """A front-end that calls the API. Its jobs and LoRAs are its own; no other client sees them."""

    name = models.CharField(_("name"), max_length=NAME_LENGTH, unique=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Off: its tokens are refused, nothing is deleted.")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name, verbose_name_plural = _("client"), _("clients")

    def __str__(self):
        return self.name


class ApiToken(models.Model):
    """One of a client's tokens; deleting it withdraws it. Only its hash is kept."""

    client = models.ForeignKey(
        Client, on_delete=models.CASCADE, related_name="tokens", verbose_name=_("client")
    )
    hash = models.CharField(max_length=64, unique=True, editable=False)  # sha256
    # of the token, to tell it from others
    start = models.CharField(_("start"), max_length=12, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        verbose_name, verbose_name_plural = _("API token"), _("API tokens")

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
    client = models.ForeignKey(
        Client, null=True, blank=True, on_delete=models.PROTECT, verbose_name=_("client")
    )
    # X-Visitor of the request
    visitor = models.CharField(_("visitor"), max_length=VISITOR_LENGTH, blank=True)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        abstract = True


class Job(Owned):
    """One training or generation. Its row is the truth; only ``jobs.status_changes`` changes the status."""

    class Kind(models.TextChoices):
        TRAINING = "training", _("training")
        GENERATION = "generation", _("generation")

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    NOT_CHOSEN = "-"  # the group of a candidate that is being deleted, since another one is kept

    code = models.CharField(_("code"), max_length=8, unique=True, validators=[code_validator])
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.QUEUED, db_index=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    # processes.name() of the run that is at it, also when the job has ended; empty when the run has left it
    worker = models.CharField(max_length=64, blank=True, editable=False)
    parameters = models.JSONField(_("parameters"), default=dict)
    poi_image = models.ForeignKey(
        PoiImage, null=True, blank=True, on_delete=models.SET_NULL, verbose_name=_("place image")
    )
    action_image = models.ForeignKey(
        ActionImage, null=True, blank=True, on_delete=models.SET_NULL, verbose_name=_("action image")
    )
    lora = models.ForeignKey(
        "LoraModel",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        verbose_name=_("LoRA"),
    )
    seed = models.PositiveBigIntegerField(_("seed"), null=True, blank=True)
    step = models.CharField(_("step"), max_length=20, blank=True)
    steps = models.JSONField(_("steps"), default=list)
    # of ``steps``, the one for which the job was handed on to another worker; empty: the first
    next_step = models.CharField(max_length=20, blank=True, db_default="", editable=False)
    progress = models.FloatField(_("progress"), default=0.0)  # of the whole job, 0..1
    timings = models.JSONField(_("timings"), default=list)
    tree_peak_mb = models.FloatField(default=0.0)  # of the worker's processes together, seen at heartbeats
    log = models.TextField(_("log"), blank=True)
    error_code = models.CharField(_("error code"), max_length=40, blank=True)
    error_message = models.TextField(_("error message"), blank=True)
    gave_up = models.BooleanField(default=False, editable=False)  # failed since every attempt's process died
    token_hash = models.CharField(max_length=64, blank=True)  # sha256 of the one-time token of a training
    output = models.FileField(_("picture"), upload_to="outputs/", blank=True)
    # the finished picture's step before the face, so that the face can be painted again alone
    body = models.FileField(upload_to="bodies/", blank=True, default="", db_default="", editable=False)
    # the finished picture as messengers show it; made when it is first asked for, see studio.sharing
    shared_small = models.FileField(
        upload_to="shared/", blank=True, default="", db_default="", editable=False
    )
    # the first step that this job paints; its body is another job's if it is the face
    first = models.PositiveSmallIntegerField(default=1, db_default=1, editable=False)
    # the worker's files of an unfinished job: each one's name, and the name of its copy in the storage
    working_files = models.JSONField(default=dict, blank=True, db_default={}, editable=False)
    # the code of the first of several candidates for one picture, as long as none is chosen
    group = models.CharField(
        max_length=8, blank=True, default="", db_default="", db_index=True, editable=False
    )
    # the reference in the picture's watermark, in hexadecimal; it is nowhere else
    mark = models.CharField(max_length=16, blank=True, default="", db_default="", editable=False)
    webhook_url = models.CharField(_("webhook URL"), max_length=URL_LENGTH, blank=True)
    # addresses.mark_of, if it is known
    sender = models.CharField(max_length=16, blank=True, db_default="", editable=False)
    # by its visitor, see studio.sharing
    shared_until = models.DateTimeField(_("shared until"), null=True, blank=True)
    # by the database's clock, as the others are
    created_at = models.DateTimeField(_("created"), db_default=Now(), db_index=True, editable=False)
    # the newest picture (pk) that goes before this training; 0: none (see jobs.giving_way)
    gives_way_to = models.BigIntegerField(default=0, db_default=0, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, blank=True, db_index=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name, verbose_name_plural = _("job"), _("jobs")
        # for estimates, which need the last few jobs of a kind, and for deletion by age
        indexes = [models.Index(fields=["kind", "finished_at"], name="jobs_of_a_kind_by_their_end")]

    def __str__(self):
        return f"{self.get_kind_display()} {self.code}"

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
        verbose_name, verbose_name_plural = _("idempotency key"), _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="unique_key_of_owner")]

    def __str__(self):
        return self.key


class LeftVisitor(models.Model):
    """A visitor who had everything erased and left. A request that was under way then makes no job any more.
    Kept as long as an idempotency key."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+", verbose_name=_("client"))
    visitor = models.CharField(_("visitor"), max_length=VISITOR_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name, verbose_name_plural = _("visitor who left"), _("visitors who left")
        constraints = [models.UniqueConstraint(fields=["client", "visitor"], name="unique_left_visitor")]

    def __str__(self):
        return self.visitor


class TrainingPhoto(models.Model):
    """One of the five cleaned photos of a training, kept until the training ends."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="photos", verbose_name=_("job"))
    index = models.PositiveSmallIntegerField()
    file = models.FileField(_("file"), upload_to="photos/")
    face = models.JSONField(null=True, blank=True)  # embedding, 128 numbers
    skin = models.JSONField(null=True, blank=True)  # CIE L*a*b*
    looks = models.JSONField(null=True, blank=True)  # hair, beard, glasses: generation.vision.looks

    class Meta:
        ordering = ["index"]
        verbose_name, verbose_name_plural = _("training photo"), _("training photos")

    def __str__(self):
        return gettext("photo {number} of {job}").format(number=self.index, job=self.job_id)


class UsableLoras(models.Manager.from_queryset(OwnedQuerySet)):
    def get_queryset(self):
        return super().get_queryset().filter(is_erased=False)


class LoraModel(Owned):
    """A visitor's trained face model. It has the code of the training that made it."""

    code = models.CharField(_("code"), max_length=8, unique=True, validators=[code_validator])
    file = models.FileField(_("file"), upload_to="loras/")
    faces = models.JSONField(default=list, blank=True)  # the photos' embeddings
    # of the photos, for the body's prompt
    skin_tone = models.CharField(_("skin tone"), max_length=16, blank=True)
    # CIE L*a*b* of the skin in the photos, for the body's underpainting; [] if it was never measured
    skin = models.JSONField(default=list, db_default=[], blank=True)
    # Hair, beard and glasses, likewise. The default in the database is for the version before.
    looks = models.JSONField(_("looks"), default=dict, db_default={}, blank=True)
    # of the chosen checkpoint, if one was chosen
    step = models.PositiveIntegerField(_("step"), null=True, blank=True)
    distances = models.JSONField(default=dict, blank=True)  # step: distance of its pictures to the photos
    job = models.OneToOneField(
        Job,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="trained_lora",
        verbose_name=_("job"),
    )
    is_erased = models.BooleanField(default=False, editable=False)  # no job is made or goes on with it
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    objects = UsableLoras()  # one that is being erased is gone for everybody
    with_erased = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name, verbose_name_plural = _("LoRA"), _("LoRAs")

    def __str__(self):
        return self.code


class Webhook(models.Model):
    """One message to a job's webhook_url, about a change of its status."""

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("dead")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="webhooks", verbose_name=_("job"))
    event = models.CharField(_("event"), max_length=20)  # job.succeeded
    host = models.CharField(_("host"), max_length=255)  # of the URL
    body = models.TextField(_("body"))  # as it is signed and sent
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_try_at = models.DateTimeField(_("next try"))
    last_result = models.CharField(_("last result"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name, verbose_name_plural = _("webhook"), _("webhooks")
        indexes = [models.Index(fields=["status", "next_try_at"], name="webhooks_due")]

    def __str__(self):
        return gettext("{event} of {job}").format(event=self.event, job=self.job_id)


class Report(models.Model):
    """A stranger says that a shared picture should not be shown. It goes with the picture."""

    class Reason(models.TextChoices):
        MYSELF = "myself", _("I am in it, and I don't agree to that")
        INTIMATE = "intimate", _("It is intimate or sexual")
        MINOR = "minor", _("It shows a child in a way that does harm")
        HATEFUL = "hateful", _("It is hateful or violent")
        DECEPTIVE = "deceptive", _("It is used to deceive people")
        OTHER = "other", _("Another reason")

    WORDS_LENGTH = 500

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="reports", verbose_name=_("picture"))
    reason = models.CharField(_("reason"), max_length=10, choices=Reason)
    words = models.TextField(_("in words"), max_length=WORDS_LENGTH, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name, verbose_name_plural = _("report"), _("reports")

    def __str__(self):
        return gettext("report about {job}").format(job=self.job_id)


class AuditEntry(models.Model):
    """One line of the audit log; ``audit`` writes it. No words, no picture and no number of a face."""

    class Event(models.TextChoices):
        MADE = "made", _("made")
        REFUSED = "refused", _("refused")
        REPORTED = "reported", _("reported")
        ERASED = "erased", _("erased")
        TAKEN_DOWN = "taken_down", _("taken down")

    event = models.CharField(_("event"), max_length=10, choices=Event)
    what = models.CharField(_("kind"), max_length=10, choices=Job.Kind, blank=True)
    code = models.CharField(_("code"), max_length=8, blank=True)  # of a job, which may be gone
    by = models.CharField(_("by"), max_length=NAME_LENGTH + 20, blank=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)  # words of the software's own
    at = models.DateTimeField(_("time"), auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name, verbose_name_plural = _("entry of the audit log"), _("entries of the audit log")

    def __str__(self):
        return f"{self.get_event_display()} {self.code}"
