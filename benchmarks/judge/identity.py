"""Who a painted face is, among a crowd of twenty; by the judge, and beside it by the first reader."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.judge import reader
from generation.miniature import demo_content
from generation.miniature.training import reader as first_reader
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import View
from generation.miniature.world.scenes import HELD_OUT, Scene

FIRST_PERSON = HELD_OUT + 500  # seeds of the crowd whose LoRAs are trained and told apart
CROWD = 20
# The crowd's order: three young women and three old men, who are hard to tell apart, then the others.
_ALIKE = (0, 4, 16, 7, 19, 9)
TRAINED = (*_ALIKE, *(number for number in range(CROWD) if number not in _ALIKE))


def photos(number: int) -> list[tuple[Scene, View]]:
    """Where the five photos of a person of the crowd are taken, and what each of them sees."""
    seed = FIRST_PERSON + number
    return demo_content.photo_scenes(people.random_person(seed), seed)


def photo_readings(number: int) -> list[reader.Reading]:
    return [reader.read_head(scenes.draw_scene(s, view), s.pose, view) for s, view in photos(number)]


def gallery() -> list[reader.Reading]:
    """How each of the crowd is known to the judge: the mean direction of their five photos."""
    return [_mean(photo_readings(number)) for number in range(CROWD)]


def _mean(readings: list[reader.Reading]) -> reader.Reading:
    mean = np.mean([reading.embedding for reading in readings], axis=0)
    return dataclasses.replace(readings[0], embedding=mean / np.linalg.norm(mean))


def first_gallery() -> list[first_reader.Reading]:
    """Likewise, to the first reader."""
    known = []
    for number in range(CROWD):
        crops = [
            first_reader.crop(scenes.draw_scene(s, view), first_reader.crop_box(scenes.face_mask(s, view)))
            for s, view in photos(number)
        ]
        readings = first_reader.read(crops)
        mean = np.mean([reading.embedding for reading in readings], axis=0)
        known.append(dataclasses.replace(readings[0], embedding=mean))
    return known


def nearest(face, known: list) -> int:
    """The number of the one of the crowd to whom the face is nearest."""
    return int(np.argmin([face.distance(other) for other in known]))


def distances(face: reader.Reading, known: list[reader.Reading], number: int) -> tuple[float, float]:
    """To the person that it should be, and to the nearest of all others."""
    others = [face.distance(other) for k, other in enumerate(known) if k != number]
    return face.distance(known[number]), min(others)
