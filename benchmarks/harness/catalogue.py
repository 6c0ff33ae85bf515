"""A small catalogue and a person's photos, drawn."""

from __future__ import annotations

import functools

from django.core.files.base import ContentFile
from PIL import Image

from diffuser_api.models import Action, ActionImage, Poi, PoiImage
from diffuser_api.photos.pictures import as_png
from generation.miniature import demo_content
from generation.miniature.world import people


def png_file(picture: Image.Image, name: str) -> ContentFile:
    return ContentFile(as_png(picture), name=f"{name}.png")


@functools.cache
def _drawn() -> dict:
    shots = {shot: demo_content.make_shot("waving", shot) for shot in ("CLS", "MES", "FUS")}
    return {"shots": shots, "place": demo_content.draw_empty_place("square", "sunny", 1, 256)}


@functools.cache
def _place_file() -> bytes:
    return as_png(_drawn()["place"])


@functools.cache
def _shot_files(shot_type: str) -> dict[str, bytes]:
    shot = _drawn()["shots"][shot_type]
    skeleton, subject, face = map(as_png, (shot.skeleton, shot.subject_mask, shot.face_mask))
    return {"image": skeleton, "skeleton": skeleton, "subject_mask": subject, "face_mask": face}


def make_catalogue() -> Poi:
    poi = Poi.objects.create(name="Piazza")
    for name in ("noon", "dusk"):
        image = ContentFile(_place_file(), name=f"{name}.png")
        PoiImage.objects.create(poi=poi, name=name, description="sunny town square", image=image)
    waving = Action.objects.create(name="waving", description="waving with one hand raised")
    sitting = Action.objects.create(name="sitting", description="sitting cross-legged on the ground")
    for action, shot_type in ((waving, "CLS"), (waving, "MES"), (waving, "FUS"), (sitting, "MES")):
        add_shot(action, shot_type)
    return poi


def add_shot(action: Action, shot_type: str) -> ActionImage:
    files = {field: ContentFile(png, name=f"{field}.png") for field, png in _shot_files(shot_type).items()}
    return ActionImage.objects.create(action=action, shot_type=shot_type, **files)


@functools.cache
def _photos() -> tuple[bytes, ...]:
    person = people.random_person(5, "adult", "man")
    return tuple(as_png(photo) for photo in demo_content.photos_of(person, 5))


def make_photos() -> list[bytes]:
    return list(_photos())
