"""The fields of requests and answers. ``catalogue.lookup`` looks up the catalogue's names."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from diffuser_api.access import tokens
from diffuser_api.api import digits
from diffuser_api.api.field_names import NamingSerializer
from diffuser_api.api.fields import FreeText, Measure, OneOf, OptionalText, WholeNumber
from diffuser_api.catalogue import lookup
from diffuser_api.jobs import choosing, lora_file
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


def seed_field() -> WholeNumber:
    return WholeNumber(min_value=0, max_value=2**32 - 1, required=False, allow_null=True, default=None)


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
    seed = seed_field()
    candidates = WholeNumber(
        min_value=1,
        max_value=choosing.MOST,
        default=1,
        help_text="So many pictures with different seeds, of which one can be kept.",
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
        """The order that the request describes. Raises ValidationError."""
        self.is_valid(raise_exception=True)
        values = self.validated_data
        copied = ("poi_image", "action_image", "age", "gender", "other_details", "seed", "action_score")
        copied += ("candidates",)
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
    watermark = serializers.BooleanField(help_text="Whether this service's watermark is in the pixels.")
    made_at = serializers.CharField(help_text="When it was made, if that is known.")
    made_by = serializers.CharField(help_text="The software, and its version.")


class PhotoFindingSerializer(serializers.Serializer):
    code = serializers.ChoiceField(sentences.CODES)
    message = serializers.CharField(help_text="English, or Italian where Accept-Language asks for it.")


class PhotoCheckAnswerSerializer(serializers.Serializer):
    accepted = serializers.BooleanField()
    findings = PhotoFindingSerializer(many=True)


class LoraLikenessSerializer(serializers.Serializer):
    """Of a training's checkpoints, which paints the visitor best."""

    step = WholeNumber(min_value=1, help_text="Of the checkpoint that became the LoRA.")
    distances = serializers.DictField(
        child=Measure(min_value=0),
        help_text="Of each step's pictures to the photos.",
    )

    def validate_distances(self, distances):
        if not all(map(digits.are_whole, distances)):
            raise serializers.ValidationError("Each distance belongs to the number of a step.")
        return distances


class TrainingCompleteSerializer(serializers.Serializer):
    """Either the LoRA, or why there is none."""

    lora = serializers.FileField(required=False, help_text="The LoRA, a safetensors file.")
    error = serializers.CharField(required=False, max_length=4000, help_text="Why the training failed.")

    likeness = serializers.JSONField(required=False, help_text="How near each checkpoint's pictures came.")

    def validate_lora(self, file) -> bytes:
        content = file.read()
        try:
            lora_file.check(content)
        except lora_file.NotALora as broken:
            raise serializers.ValidationError(str(broken)) from broken
        return content

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


class FaceAgainSerializer(WebhookSerializer):
    """A new face on a finished picture."""

    seed = seed_field()


class NewPictureSerializer(serializers.Serializer):
    code = serializers.CharField()
    status = serializers.ChoiceField(Job.Status.choices)
    status_url = serializers.URLField()
    output_url = serializers.URLField()


class GenerateImageAnswerSerializer(NewPictureSerializer):
    lora_used = serializers.BooleanField()
    lora_problem = LoraProblemSerializer(
        required=False, help_text="Why the selected LoRA isn't used: it has to be trained again."
    )
    action = serializers.CharField()
    action_score = serializers.FloatField(allow_null=True)
    candidates = NewPictureSerializer(
        many=True, required=False, help_text="All of them, if more than one was asked for."
    )


class ErrorSerializer(serializers.Serializer):
    detail = serializers.CharField()


class LoraSerializer(serializers.ModelSerializer):
    url = serializers.SerializerMethodField(help_text="DELETE it to erase the face.")

    class Meta:
        model = LoraModel
        fields = ["code", "created_at", "url"]

    @extend_schema_field(serializers.URLField())
    def get_url(self, lora):
        return reverse("lora", args=[lora.code], request=self.context["request"])
