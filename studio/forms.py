"""The postcard's form: its fields become those of the API's serializer, whose errors become sentences."""

from __future__ import annotations

from types import SimpleNamespace

from django.utils.translation import gettext_lazy as _

from diffuser_api.api.serializers import TEXT_LENGTH, GenerateImageSerializer
from diffuser_api.models import ActionImage, Job, PoiImage, ShotType
from studio import clothes
from studio.visitors import Visitor

JOBS_AT_ONCE = 5  # of one visitor: waiting or at work
SHOTS = {
    ShotType.CLOSE: _("close"),
    ShotType.MEDIUM: _("a few steps away"),
    ShotType.FAR: _("far"),
}
AGES = {"young": _("young"), "adult": _("adult"), "old": _("older")}
GENDERS = {"woman": _("woman"), "man": _("man")}
FIELDS = ("place", "shot", "how", "action", "words", "age", "gender", "garment", "colour", "clothes", "face")
STARTING = {"shot": "MES", "how": "figure", "age": "adult", "gender": "woman", "face": ""}
_SENTENCES = {  # field of the API: (field of the form, advice)
    "poi_name": ("place", _("Choose a place.")),
    "poi_image": ("place", _("Choose a place.")),
    "action_name": ("action", _("Choose what you do.")),
    "action_prompt": ("words", _("No figure is like these words. Say it otherwise, in English.")),
    "action_shot_type": ("shot", _("There is no figure for this from here. Choose another distance.")),
    "age": ("age", _("Choose an age.")),
    "gender": ("gender", _("Choose one.")),
    "other_details": ("clothes", _("That is too long; 300 characters are the most.")),
    "selected_lora": ("face", _("Choose a face.")),
}
_EMPTY_WORDS = _("Say in a few words what you do.")
_LONG_WORDS = _SENTENCES["other_details"][1]


def starting_values(visitor: Visitor) -> dict[str, str]:
    """As in the visitor's last picture, but with a face that was trained since."""
    last = visitor.jobs().filter(kind=Job.Kind.GENERATION).first()
    values = values_of(last) if last else dict(STARTING)
    newest = visitor.loras().first()
    if newest and (last is None or newest.created_at > last.created_at):
        values["face"] = newest.code
    return values


def values_of(job: Job) -> dict[str, str]:
    """The form as it was when this picture was asked for."""
    shot, said = job.action_image, job.parameters
    return STARTING | {
        "place": str(job.poi_image_id or ""),
        "shot": shot.shot_type if shot else STARTING["shot"],
        "action": shot.action.name if shot else "",
        "age": said.get("age", ""),
        "gender": said.get("gender", ""),
        **clothes.choices(said.get("other_details", "")),
        "face": job.lora.code if job.lora else "",
    }


def serializer_for(values: dict[str, str], visitor: Visitor) -> GenerateImageSerializer:
    place = values["place"]
    image = PoiImage.objects.filter(pk=place).select_related("poi").first() if place.isdecimal() else None
    in_words = values["how"] == "words"
    asked = {
        "poi_name": image.poi.name if image else "",
        "poi_image": image.name if image else "",
        "action_name": "" if in_words else values["action"],
        "action_prompt": values["words"] if in_words else "",
        "dynamic_action_selection": in_words,
        "action_shot_type": values["shot"],
        "age": values["age"],
        "gender": values["gender"],
        "other_details": clothes.phrase(values["garment"], values["colour"], values["clothes"]),
        "selected_lora": values["face"],
    }
    who = SimpleNamespace(user=visitor.caller_for(values["face"]))
    return GenerateImageSerializer(data=asked, context={"request": who})


def problems(serializer: GenerateImageSerializer) -> dict[str, object]:
    """A sentence for each field of the form that has an error."""
    found = {}
    if not serializer.is_valid():
        for field in serializer.errors:
            here, sentence = _SENTENCES[field]
            if field == "action_prompt":
                words = serializer.initial_data["action_prompt"].strip()
                sentence = sentence if words else _EMPTY_WORDS
                sentence = _LONG_WORDS if len(words) > TEXT_LENGTH else sentence
            found[here] = sentence
    return found


def figure_of(values: dict[str, str]) -> ActionImage | None:
    """The figure that is picked by its name, at the chosen distance."""
    return ActionImage.objects.filter(action__name=values["action"], shot_type=values["shot"]).first()


def sentence_of(field: str):
    return _SENTENCES[field][1]
