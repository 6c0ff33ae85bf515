"""The catalogue as the API answers it."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from diffuser_api.models import Action, ActionImage, Poi, PoiImage


class TranslatedSerializer(serializers.ModelSerializer):
    """``name`` is what a request has to name; the rest is for people."""

    label = serializers.CharField(
        source="shown_name",
        read_only=True,
        help_text="The name in the language of Accept-Language, to be shown.",
    )
    description = serializers.CharField(
        source="shown_description", read_only=True, help_text="In the language of Accept-Language."
    )


class PoiImageSerializer(TranslatedSerializer):
    image_url = serializers.SerializerMethodField()

    class Meta:
        model = PoiImage
        fields = ["name", "label", "description", "image_url"]

    @extend_schema_field(serializers.URLField())
    def get_image_url(self, image):
        return reverse("poi-thumbnail", args=[image.pk, "image"], request=self.context["request"])


class PoiSerializer(TranslatedSerializer):
    description = None
    images = PoiImageSerializer(many=True)

    class Meta:
        model = Poi
        fields = ["name", "label", "images"]


class ActionShotSerializer(serializers.ModelSerializer):
    image_url = serializers.SerializerMethodField()

    class Meta:
        model = ActionImage
        fields = ["shot_type", "image_url"]

    @extend_schema_field(serializers.URLField())
    def get_image_url(self, image):
        return reverse("action-thumbnail", args=[image.pk, "skeleton"], request=self.context["request"])


class ActionSerializer(TranslatedSerializer):
    shots = ActionShotSerializer(many=True, source="images")

    class Meta:
        model = Action
        fields = ["name", "label", "description", "shots"]
