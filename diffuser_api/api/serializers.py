"""The fields of requests and answers. ``catalogue.lookup`` looks up the catalogue's names."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from diffuser_api.access import tokens
from diffuser_api.api.field_names import NamingSerializer
from diffuser_api.api.fields import FreeText, OneOf, OptionalText
from diffuser_api.catalogue import lookup
from diffuser_api.jobs import queue
from diffuser_api.jobs.orders import GenerationOrder
from diffuser_api.models import (
    NAME_LENGTH,
    URL_LENGTH,
    IdempotencyKey,
    Job,
    LoraModel,
    ShotType,
)
from diffuser_api.photos import consent, sentences, verify
from diffuser_api.webhooks import guarded_post
from generation import repaint
from generation.models import lora_fit
from generation.request import AGES, GENDERS

TEXT_LENGTH = 300


class WebhookSerializer(serializers.Serializer):
    """The field that trainings and pictures have in common."""

    webhook_url = OptionalText(
        URL_LENGTH, "Is told of each change of the job's status, signed as Standard Webhooks."
    )

    def validate_webhook_url(self, url):
        try:
            return url and guarded_post.check_url(url, settings.WEBHOOK_ALLOW_HTTP).geturl()
        except ValueError as error:
            raise serializers.ValidationError(f"This can't be used: {error}.") from error


class GenerateImageSerializer(NamingSerializer, WebhookSerializer):
    """A request for a picture."""

    poi_name = serializers.CharField(max_length=NAME_LENGTH, help_text="Name of a place.")
    poi_image = serializers.CharField(max_length=NAME_LENGTH, help_text="Name of one of that place's images.")
    action_name = OptionalText(NAME_LENGTH, "Name of an action.")
    action_shot_type = OneOf(ShotType.choices)
    age = OneOf(AGES)
    gender = OneOf(GENDERS)
    other_details = FreeText(
        TEXT_LENGTH,
        'Clothes; they follow "wearing" in the prompt, which has room for 30 to 50 words. If there are '
        "more, the last words are left out, and the job's left_out names them. Nudity, violence and "
        "the like are refused with a reason.",
        painted=True,
    )
    selected_lora = OptionalText(
        NAME_LENGTH,
        "A LoRA code. Empty, unknown, not ready, or trained on another model than the server's of today: the "
        "picture is made without the face step, and lora_used is false.",
        allow_null=True,
    )
    dynamic_action_selection = serializers.BooleanField(
        required=False, default=False, help_text="Pick the action from action_prompt instead of by name."
    )
    action_prompt = FreeText(TEXT_LENGTH, "What the subject does.", painted=True)
    seed = serializers.IntegerField(
        min_value=0, max_value=2**32 - 1, required=False, allow_null=True, default=None
    )

    def validate(self, values):
        """Adds ``action_score`` and the rows that the names belong to."""
        problems, needed = {}, "action_prompt" if values["dynamic_action_selection"] else "action_name"
        if not values[needed].strip():
            which = "true" if values["dynamic_action_selection"] else "false"
            problems[needed] = [f"This is needed when dynamic_action_selection is {which}."]
        score = None
        try:
            place = lookup.poi_image_get(values["poi_name"], values["poi_image"])
        except lookup.NotInCatalogue as error:
            problems[error.field] = [str(error)]
        if needed not in problems:
            try:
                if values["dynamic_action_selection"]:
                    action, score = lookup.action_pick(values["action_prompt"])
                else:
                    action = lookup.action_get(values["action_name"])
                values["action_image"] = lookup.action_image_get(action, values["action_shot_type"])
            except lookup.NotInCatalogue as error:
                problems[error.field] = [str(error)]
        if problems:
            raise serializers.ValidationError(problems)
        return values | {"poi_image": place, "action_score": score}

    def order(self, caller: tokens.Caller, key: IdempotencyKey | None) -> GenerationOrder:
        """The order that the request describes. The serializer must be valid."""
        values = self.validated_data
        copied = ("poi_image", "action_image", "age", "gender", "other_details", "seed", "action_score")
        return GenerationOrder(
            **{name: values[name] for name in copied},
            lora=lookup.lora_find(values["selected_lora"] or "", caller),
            webhook_url=values["webhook_url"],
            client=caller.client,
            visitor=caller.visitor or "",
            address=caller.address,
            idempotency_key=key,
        )


class ConsentField(WebhookSerializer):
    """The fields of a training beside its photos."""

    consent_version = OptionalText(
        NAME_LENGTH,
        "Version of the text of /api/consent/ that the visitor agrees to; some servers need it.",
    )

    def validate_consent_version(self, version):
        try:
            if not version and settings.API_NEEDS_CONSENT:
                raise consent.NotGiven
            return consent.given(version)
        except consent.NotGiven as error:
            raise serializers.ValidationError(str(error)) from error


class ConsentSerializer(serializers.Serializer):
    version = serializers.CharField()
    needed = serializers.BooleanField(help_text="Whether a training is refused without consent_version.")
    text = serializers.ListField(child=serializers.CharField(), help_text="Sentences to show.")
    agree = serializers.ListField(child=serializers.CharField(), help_text="Beside the boxes to tick.")


class LoraTrainingSerializer(ConsentField):
    """Five photos of one person, in five parts of the same name."""

    images = serializers.ListField(child=serializers.FileField(), min_length=5, max_length=5)


class PhotoReasonSerializer(serializers.Serializer):
    index = serializers.IntegerField(help_text="1 to 5 in the order sent; 0 speaks of all of them.")
    code = serializers.CharField()
    message = serializers.CharField(help_text="English, or Italian where Accept-Language asks for it.")


class LoraTrainingAnswerSerializer(serializers.Serializer):
    lora_code = serializers.CharField()
    status = serializers.ChoiceField(Job.Status.choices)
    status_url = serializers.URLField()
    warnings = PhotoReasonSerializer(
        many=True, required=False, help_text="Of photos that were taken all the same (PHOTO_CHECKS=warn)."
    )


class PhotosRefusedSerializer(serializers.Serializer):
    """Or another field, or the header Idempotency-Key, with its list of reasons."""

    images = PhotoReasonSerializer(many=True, required=False)


class PhotoCheckSerializer(NamingSerializer):
    """One photo."""

    image = serializers.FileField(allow_empty_file=True)


class VerifyAnswerSerializer(serializers.Serializer):
    result = serializers.ChoiceField(verify.SENTENCES)
    message = serializers.CharField(help_text="English, or Italian where Accept-Language asks for it.")
    signer = serializers.CharField(help_text="Of an unchanged picture, as its certificate says; else empty.")
    made_at = serializers.CharField(help_text="When it was made, if it says so.")
    made_by = serializers.CharField(help_text="The software, and its version.")


class PhotoFindingSerializer(serializers.Serializer):
    code = serializers.ChoiceField(sentences.CODES)
    message = serializers.CharField(help_text="English, or Italian where Accept-Language asks for it.")


class PhotoCheckAnswerSerializer(serializers.Serializer):
    accepted = serializers.BooleanField()
    findings = PhotoFindingSerializer(many=True)


class LoraLikenessSerializer(serializers.Serializer):
    """Of a training's checkpoints, which paints the visitor best."""

    step = serializers.IntegerField(min_value=1, help_text="Of the checkpoint that became the LoRA.")
    distances = serializers.DictField(
        child=serializers.FloatField(min_value=0),
        help_text="Of each step's pictures to the photos.",
    )


class TrainingCompleteSerializer(serializers.Serializer):
    """Either the LoRA, or why there is none."""

    lora = serializers.FileField(required=False, help_text="The LoRA, a safetensors file.")
    error = serializers.CharField(required=False, max_length=4000, help_text="Why the training failed.")

    likeness = serializers.JSONField(required=False, help_text="How near each checkpoint's pictures came.")

    def validate_likeness(self, value):
        likeness = LoraLikenessSerializer(data=value)
        likeness.is_valid(raise_exception=True)
        return likeness.validated_data

    def validate(self, values):
        if ("lora" in values) == ("error" in values):
            raise serializers.ValidationError("Send either the file `lora` or the text `error`.")
        return values


class LoraProblemSerializer(serializers.Serializer):
    code = serializers.ChoiceField(lora_fit.MISFITS)
    message = serializers.CharField()


class GenerateImageAnswerSerializer(serializers.Serializer):
    code = serializers.CharField()
    status = serializers.ChoiceField(Job.Status.choices)
    status_url = serializers.URLField()
    output_url = serializers.URLField()
    lora_used = serializers.BooleanField()
    lora_problem = LoraProblemSerializer(
        required=False, help_text="Why the selected LoRA isn't used: it has to be trained again."
    )
    action = serializers.CharField()
    action_score = serializers.FloatField(allow_null=True)


class ErrorSerializer(serializers.Serializer):
    detail = serializers.CharField()


class JobErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()


class LikenessSerializer(serializers.Serializer):
    face = serializers.BooleanField(help_text="A face was found where it was painted.")
    distance = serializers.FloatField(
        allow_null=True, help_text="To the visitor's photos; up to 0.6 it is the same person."
    )


class JobSerializer(serializers.ModelSerializer):
    position = serializers.SerializerMethodField(
        help_text="Jobs before this one; null when it waits no more."
    )
    eta_seconds = serializers.SerializerMethodField(
        help_text="Learned from earlier jobs; null when none is known."
    )
    error = serializers.SerializerMethodField()
    output_url = serializers.SerializerMethodField()
    likeness = serializers.SerializerMethodField(help_text="Of the painted face; null without a face step.")
    left_out = serializers.SerializerMethodField(
        help_text="Words for which the prompt had no room, by the field that they are from: other_details, "
        "place_description or action_description. Empty until the first step has ended."
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
            "timings",
        ]

    def _before(self, job) -> list[str]:
        """The jobs before this one, looked up once for both fields: waiting clients ask often."""
        known = self.context.setdefault("queued_before", {})
        if job.pk not in known:
            known[job.pk] = queue.queued_before(job) if job.status == Job.Status.QUEUED else []
        return known[job.pk]

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_position(self, job):
        return queue.position(job, self._before(job))

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_eta_seconds(self, job):
        return queue.eta_seconds(job, self._before(job))

    @extend_schema_field(JobErrorSerializer(allow_null=True))
    def get_error(self, job):
        return {"code": job.error_code, "message": job.error_message} if job.error_code else None

    @extend_schema_field(LikenessSerializer(allow_null=True))
    def get_likeness(self, job):
        seen = [timing["likeness"] for timing in job.timings if timing.get("likeness")]
        return min(seen, key=repaint.badness, default=None)  # the picture that was kept

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


class LoraSerializer(serializers.ModelSerializer):
    url = serializers.SerializerMethodField(help_text="DELETE it to erase the face.")

    class Meta:
        model = LoraModel
        fields = ["code", "created_at", "url"]

    @extend_schema_field(serializers.URLField())
    def get_url(self, lora):
        return reverse("lora", args=[lora.code], request=self.context["request"])
