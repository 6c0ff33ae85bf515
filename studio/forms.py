"""What a visitor asks for: the postcard's form, and a sentence for whatever is wrong in it."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from diffuser_api import wording
from diffuser_api.api.serializers import TEXT_LENGTH
from diffuser_api.catalogue import lookup
from diffuser_api.jobs.orders import GenerationOrder
from diffuser_api.models import NAME_LENGTH, ActionImage, Job, PoiImage, ShotType
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
FIRST_CLOTHES = {"garment": "t-shirt", "colour": "red"}  # stand out from every place, so limbs come out whole
_SENTENCES = {  # what to do about a field
    "place": _("Choose a place."),
    "action": _("Choose what you do."),
    "words": _("No figure is like these words. Say it otherwise."),
    "shot": _("There is no figure for this from here. Choose another distance."),
    "age": _("Choose an age."),
    "gender": _("Choose one."),
    "clothes": _("That is too long; 300 characters are the most."),
    "face": _("Choose a face."),
}
_EMPTY_WORDS = _("Say in a few words what you do.")
_LONG_WORDS = _SENTENCES["clothes"]
_FIELDS_OF_THE_CATALOGUE = {"action_name": "action", "action_prompt": "words", "action_shot_type": "shot"}


def _says(field: str, **other) -> dict:
    """Error messages: whatever is wrong, the field's sentence."""
    codes = ("required", "invalid_choice", "max_length", "null_characters_not_allowed")
    return dict.fromkeys(codes, _SENTENCES[field]) | other


def starting_values(visitor: Visitor) -> dict[str, str]:
    """As in the visitor's last picture, but with a face that was trained since."""
    last = visitor.jobs().filter(kind=Job.Kind.GENERATION).first()
    values = values_of(last) if last else STARTING | FIRST_CLOTHES
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


class PostcardForm(forms.Form):
    """Either ``action`` or ``words`` say what the visitor does: ``how`` says which."""

    place = forms.ModelChoiceField(PoiImage.objects.all(), error_messages=_says("place"))
    shot = forms.ChoiceField(choices=ShotType.choices, error_messages=_says("shot"))
    action = forms.CharField(required=False, max_length=NAME_LENGTH, error_messages=_says("action"))
    words = forms.CharField(
        required=False, max_length=TEXT_LENGTH, error_messages=_says("words", max_length=_LONG_WORDS)
    )
    age = forms.ChoiceField(choices=AGES.items(), error_messages=_says("age"))
    gender = forms.ChoiceField(choices=GENDERS.items(), error_messages=_says("gender"))
    clothes = forms.CharField(required=False, max_length=TEXT_LENGTH, error_messages=_says("clothes"))
    face = forms.CharField(required=False, max_length=NAME_LENGTH, error_messages=_says("face"))

    def __init__(self, values: dict[str, str]) -> None:
        phrase = clothes.phrase(values["garment"], values["colour"], values["clothes"])
        self.in_words = values["how"] == "words"
        unused = "action" if self.in_words else "words"
        super().__init__(values | {"clothes": phrase, unused: ""})

    def clean_words(self) -> str:
        return _judged(self.cleaned_data["words"])

    def clean_clothes(self) -> str:
        return _judged(self.cleaned_data["clothes"])

    def clean(self) -> dict:
        """Adds the figure, ``action_image``, and ``action_score``."""
        values = self.cleaned_data
        if self.errors:
            return values
        if self.in_words and not values["words"]:
            raise forms.ValidationError({"words": _EMPTY_WORDS})
        action_score = None
        try:
            if self.in_words:
                action, action_score = lookup.action_pick(values["words"])
            else:
                action = lookup.action_get(values["action"])
            action_image = lookup.action_image_get(action, values["shot"])
        except lookup.NotInCatalogue as error:
            raise forms.ValidationError(
                {_FIELDS_OF_THE_CATALOGUE[error.field]: sentence_of(error.field)}
            ) from error
        return values | {"action_image": action_image, "action_score": action_score}

    def problems(self) -> dict[str, str]:
        """Field to what to do about it; empty when all is well."""
        return {field: messages[0] for field, messages in self.errors.items()}

    def codes(self) -> set[str]:
        """Of all errors."""
        return {one.code for errors in self.errors.as_data().values() for one in errors if one.code}

    def order(self, visitor: Visitor) -> GenerationOrder:
        """Of a form without problems. A face that the visitor doesn't have is left out."""
        values = self.cleaned_data
        copied = ("action_image", "age", "gender", "action_score")
        return GenerationOrder(
            **{name: values[name] for name in copied},
            poi_image=values["place"],
            lora=visitor.loras().filter(code=values["face"]).first(),
            other_details=values["clothes"],
            client=visitor.caller.client,
            visitor=visitor.caller.visitor,
            address=visitor.caller.address,
            at_once=JOBS_AT_ONCE,
        )


def _judged(text: str) -> str:
    try:
        wording.check(text, painted=True)
    except wording.WordsRefused as error:
        raise forms.ValidationError(str(error), error.code) from error
    return text


def figure_of(values: dict[str, str]) -> ActionImage | None:
    """The figure that is picked by its name, at the chosen distance."""
    return ActionImage.objects.filter(action__name=values["action"], shot_type=values["shot"]).first()


def sentence_of(field: str):
    """``field`` is the catalogue's, of ``lookup.NotInCatalogue``."""
    return _SENTENCES[_FIELDS_OF_THE_CATALOGUE[field]]
