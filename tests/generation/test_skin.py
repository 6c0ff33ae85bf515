"""The tone of the skin, read from photographs and from drawn people's photos."""

import pytest

from benchmarks.harness import photographs as real
from generation.miniature import demo_content, detectors
from generation.miniature.training import captions
from generation.miniature.world import people, scenes
from generation.vision import real_people, skin


@pytest.mark.slow  # a hundred photos are drawn
def test_drawn_people_have_the_tone_that_their_captions_say():
    """From one tone to its neighbour at most: skin is a number, and a word's limits are sharp."""
    names, right = list(captions.SKINS), 0
    for seed in range(scenes.HELD_OUT + 40, scenes.HELD_OUT + 60):
        person = people.random_person(seed)
        photos = [(photo, detectors.find_faces(photo)) for photo in demo_content.photos_of(person, seed)]
        told = skin.tone([skin.measure(photo, faces[0]) for photo, faces in photos if faces])
        said = captions.features(person)[0].removesuffix(" skin")
        assert abs(names.index(told) - names.index(said)) <= 1
        right += told == said
    assert right >= 12


@pytest.mark.parametrize(
    ("picture", "tones"), [(real.astronaut, ("pale", "light", "tan")), (real.obama, ("tan", "dark"))]
)
def test_the_tone_in_a_photograph_is_one_of_the_expected(picture, tones):
    photo = picture()
    assert skin.tone([skin.measure(photo, real_people.find_faces(photo)[0])]) in tones


def test_one_photo_in_odd_light_does_not_decide():
    light, dark = (75.0, 12.0, 20.0), (40.0, 12.0, 20.0)
    assert skin.tone([light, light, light, light, dark]) == skin.tone([light]) != skin.tone([dark])
    assert skin.tone([]) == ""


def test_the_colour_is_that_of_most_photos_and_comes_back_as_rgb():
    photos = [(70.0, 14.0, 22.0)] * 4 + [(30.0, 14.0, 22.0)]
    assert skin.colour(photos) == [70.0, 14.0, 22.0] and skin.colour([]) == []
    person = people.random_person(scenes.HELD_OUT + 41)
    photos = [(photo, detectors.find_faces(photo)) for photo in demo_content.photos_of(person, 41)]
    seen = skin.rgb(skin.colour([skin.measure(photo, faces[0]) for photo, faces in photos if faces]))
    assert max(abs(a - b) for a, b in zip(seen, person.skin_colour, strict=True)) < 25


def test_the_tones_are_the_words_that_the_miniature_knows():
    assert tuple(name for _, name in skin.TONES) == captions.SKINS
