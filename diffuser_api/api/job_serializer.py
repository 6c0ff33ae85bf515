"""A job's fields in the API's answers."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.utils.translation import get_language
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from diffuser_api.access import tokens
from diffuser_api.jobs import choosing, queue
from diffuser_api.models import Job
from diffuser_api.photos import likeness_words
from generation import VERSION, repaint

ESTIMATE_STEP = 10  # seconds
# Every change of a job's row changes one of these: a run that writes anything else writes a heartbeat too.
VERSIONED = ("status", "attempt", "step", "progress", "heartbeat_at", "started_at", "finished_at", "group")
VERSIONED += ("error_code", "lora_id", "poi_image_id", "action_image_id")
# The columns that an answer needs. The others are large, or only for the worker.
COLUMNS = (*VERSIONED, "client_id", "visitor", "code", "kind", "steps", "error_message", "timings", "body")
COLUMNS += ("created_at", "seed")


class JobErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()


class LikenessSerializer(serializers.Serializer):
    face = serializers.BooleanField(help_text="A face was found where it was painted.")
    distance = serializers.FloatField(
        allow_null=True, help_text="To the visitor's photos; up to 0.6 it is the same person."
    )
    verdict = serializers.ChoiceField(
        likeness_words.VERDICTS, allow_null=True, help_text="Null if nobody can tell."
    )
    message = serializers.CharField(
        help_text="The verdict as a sentence, and what to do: English, or Italian where Accept-Language asks "
        "for it. Empty if nobody can tell."
    )


class JobSerializer(serializers.ModelSerializer):
    position = serializers.SerializerMethodField(
        help_text="Jobs before this one; null when it waits no more."
    )
    eta_seconds = serializers.SerializerMethodField(
        help_text="Learned from earlier jobs, or from its own pace; null when nothing is known."
    )
    error = serializers.SerializerMethodField()
    output_url = serializers.SerializerMethodField()
    likeness = serializers.SerializerMethodField(help_text="Of the painted face; null without a face step.")
    left_out = serializers.SerializerMethodField(
        help_text="Words for which the prompt had no room, by the field that they are from: other_details, "
        "place_description or action_description. Empty until the first step has ended."
    )
    candidates = serializers.SerializerMethodField(
        help_text="The codes of all candidates of the same request; empty if this picture is the only one or "
        "was kept."
    )
    can_paint_face_again = serializers.SerializerMethodField(
        help_text="Whether the face of this picture can be painted again alone."
    )
    steps = serializers.ListField(child=serializers.CharField(), help_text="The job's steps, in order.")
    timings = serializers.ListField(child=serializers.DictField(), help_text="What each finished step took.")

    class Meta:
        model = Job
        fields = [
            "code",
            "kind",
            "status",
            "position",
            "step",
            "steps",
            "progress",
            "eta_seconds",
            "error",
            "output_url",
            "created_at",
            "started_at",
            "finished_at",
            "seed",
            "likeness",
            "left_out",
            "candidates",
            "can_paint_face_again",
            "timings",
        ]

    def to_representation(self, job) -> dict:
        """As REST framework would, without a new object for each field of each answer: clients ask often."""
        told = {}
        for name in self.Meta.fields:
            method = getattr(self, f"get_{name}", None)
            told[name] = method(job) if method else getattr(job, name)
        return told

    def version(self, job) -> str:
        """A weak ETag of the answer about this job: it changes with everything in the answer, but with the
        estimate only in steps of ESTIMATE_STEP seconds."""
        eta = self.get_eta_seconds(job)
        shown = [self.get_position(job), None if eta is None else eta // ESTIMATE_STEP]
        shown += [self.get_candidates(job), VERSION, get_language(), tokens.current_period()]
        shown += [getattr(job, name) for name in VERSIONED]
        return f'W/"{hashlib.sha256(repr(shown).encode()).hexdigest()[:20]}"'

    def _outlook(self, job) -> queue.Outlook:
        """The same for all fields of all jobs in one answer."""
        if "outlook" not in self.context:
            self.context["outlook"] = queue.recent_outlook(job)
        return self.context["outlook"]

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_position(self, job):
        return self._outlook(job).position(job) if job.status == Job.Status.QUEUED else None

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_eta_seconds(self, job):
        return 0 if job.is_finished else self._outlook(job).eta_seconds(job)

    @extend_schema_field(JobErrorSerializer(allow_null=True))
    def get_error(self, job):
        return {"code": job.error_code, "message": job.error_message} if job.error_code else None

    @extend_schema_field(LikenessSerializer(allow_null=True))
    def get_likeness(self, job):
        seen = [timing["likeness"] for timing in job.timings if timing.get("likeness")]
        if not seen:
            return None
        kept = min(seen, key=repaint.badness)
        verdict = likeness_words.verdict(kept)
        message = likeness_words.sentence(verdict, choosing.can_paint_face(job))
        return kept | {"verdict": verdict, "message": message}

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_candidates(self, job):
        """Looked up once for all of a group: a page or a list shows them together."""
        known = self.context.setdefault("candidates", {})
        if job.group and job.group not in known:
            known[job.group] = list(choosing.candidates(job).values_list("code", flat=True))
        return known.get(job.group, [])

    def get_can_paint_face_again(self, job) -> bool:
        return choosing.can_paint_face(job)

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_left_out(self, job):
        return next((timing["left_out"] for timing in job.timings if timing.get("left_out")), {})

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_output_url(self, job):
        return output_url(job, self.context["request"]) if job.kind == Job.Kind.GENERATION else None


def output_url(job: Job, request) -> str:
    """The URL of the picture, also before it is finished. For a client, it is signed, so that a browser needs
    no token for it."""
    url = reverse("output", args=[job.code], request=request)
    signed = settings.OUTPUT_URLS == "signed" and job.client_id
    return f"{url}?sig={tokens.sign_output(job.code)}" if signed else url
