"""What the restoration network learns from: which errors of the painter are imitated, and which not."""

import random

import numpy as np
import pytest
import torch

from generation.miniature.training import body_spoiling, drawing, family, spoiling
from generation.miniature.training.device import Device
from generation.miniature.training.trainee import Trainee
from generation.miniature.world import people

pytestmark = pytest.mark.models

CPU = Device("cpu", torch.float32)
PEOPLE = [people.random_person(seed) for seed in range(60)]


def mispainted(person: people.Person) -> people.Person:
    return spoiling.mispainted(person, random.Random(f"{person}"))


def test_a_mispainted_person_has_other_features_hair_beard_and_glasses():
    for name in (*spoiling.FEATURES, "hair_style", "beard", "glasses"):
        assert any(getattr(one, name) != getattr(mispainted(one), name) for one in PEOPLE), name


def test_a_mispainted_person_keeps_what_the_painter_is_told_of_skin_and_hair():
    for one in PEOPLE:
        other = mispainted(one)
        assert (other.age, other.gender, other.skin, other.hair_tone) == (
            one.age, one.gender, one.skin, one.hair_tone,
        )  # fmt: skip


def test_features_are_moved_and_never_leave_their_range():
    for one in map(mispainted, PEOPLE):
        assert all(0 <= getattr(one, name) <= 1 for name in spoiling.FEATURES)


def test_errors_count_most_on_the_head():
    one = spoiling.draw(0)
    head, subject = one["head"] > 127, one["alpha"] > 127
    assert (one["weight"][head] == 30).all() and (one["weight"][subject & ~head] == 15).all()
    assert (one["weight"][~(subject | head)] == 5).all()


def test_a_body_is_shown_without_its_head(tmp_path):
    """What is painted inside the head's mask must have no influence on the body."""
    drawn = [body_spoiling.draw(index) for index in (3, 4)]
    chunk = drawing._Chunks(drawn.__getitem__, 2)[0]
    rows = body_spoiling.BodySamples(family.build_vae(), Trainee(tmp_path, CPU))(chunk)
    for one, painted, hole in zip(drawn, rows["painted"].permute(0, 2, 3, 1), rows["hole"], strict=True):
        head = one["head_hole"] > 0
        assert (one["picture"] != one["place"])[head].any()
        assert np.abs(painted.numpy().astype(int) - one["place"])[head].max() <= 1
        assert not hole.numpy()[head].any() and hole.any()


def test_old_mens_beards_and_moustaches_are_more_frequent_than_in_the_world():
    drawn = [spoiling.with_more_marks(one, random.Random(f"{one}")) for one in PEOPLE]
    grey = [one for one in drawn if one.age == "old" and one.beard]
    in_the_world = [one for one in PEOPLE if one.age == "old" and one.beard]
    assert len(grey) > 2 * len(in_the_world) > 0
    assert any(one.beard < 0.5 for one in grey) and any(one.beard >= 0.5 for one in grey)
