"""Looks up the places, actions and LoRAs that a request names. Only reads the database."""

from __future__ import annotations

from django.utils.translation import get_language

from diffuser_api.models import Action, ActionImage, LoraModel, Poi, PoiImage
from generation import action_picker

NAMES_SHOWN = 20  # at most, in an error message


class NotInCatalogue(Exception):
    """``field`` of the request names something unknown. The text lists the known names."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


def _choices(names) -> str:
    names = list(names[: NAMES_SHOWN + 1])
    shown = ", ".join(f'"{name}"' for name in names[:NAMES_SHOWN])
    return (shown + (", ..." if len(names) > NAMES_SHOWN else "")) or "none yet"


def poi_image_get(poi_name: str, image_name: str) -> PoiImage:
    """The image called ``image_name`` of the place ``poi_name``. Raises NotInCatalogue."""
    poi = Poi.objects.filter(name=poi_name).first()
    if poi is None:
        known = _choices(Poi.objects.values_list("name", flat=True))
        raise NotInCatalogue("poi_name", f"There is no such place. The places are: {known}.")
    image = poi.images.filter(name=image_name).first()
    if image is None:
        known = _choices(poi.images.values_list("name", flat=True))
        raise NotInCatalogue("poi_image", f'"{poi.name}" has no such image. Its images are: {known}.')
    return image


def action_get(name: str) -> Action:
    """Raises NotInCatalogue."""
    action = Action.objects.filter(name=name).first()
    if action is None:
        known = _choices(Action.objects.values_list("name", flat=True))
        raise NotInCatalogue("action_name", f"There is no such action. The actions are: {known}.")
    return action


def action_pick(prompt: str) -> tuple[Action, float]:
    """The action most similar to a free text in the reader's language, and its score (cosine). Raises
    NotInCatalogue if none is similar."""
    actions = list(Action.objects.all())
    if not actions:
        raise NotInCatalogue("action_prompt", "There are no actions yet; an editor has to add some.")
    words = [(action.name, action.description) for action in actions]
    translated = {action.name: (action.shown_name, action.shown_description) for action in actions}
    matches = action_picker.pick(prompt, words, (get_language() or "en").partition("-")[0], translated)
    if matches[0].score < action_picker.MIN_SCORE:
        nearest = ", ".join(f'"{match.name}" ({match.score:.2f})' for match in matches[:3])
        raise NotInCatalogue(
            "action_prompt", f"No action is like this text; say it otherwise. The nearest are: {nearest}."
        )
    return next(action for action in actions if action.name == matches[0].name), matches[0].score


def action_image_get(action: Action, shot_type: str) -> ActionImage:
    """Raises NotInCatalogue."""
    image = action.images.filter(shot_type=shot_type).select_related("action").first()
    if image is None:
        known = _choices(action.images.values_list("shot_type", flat=True))
        raise NotInCatalogue(
            "action_shot_type", f'"{action.name}" has no shot {shot_type}. Its shot types are: {known}.'
        )
    return image


def lora_find(code: str, caller) -> LoraModel | None:
    """The caller's LoRA. None if the code is empty or unknown, is another caller's, or isn't trained yet."""
    return LoraModel.objects.visible_to(caller).filter(code=code).first() if code else None
