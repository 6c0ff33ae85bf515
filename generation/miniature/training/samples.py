"""What the miniature learns from: drawn samples, each following from its number alone. No torch.

A *pose* sample is a whole scene with a hole for the person, or a close-up of the hole, as the pose step
paints a small subject; a *face* sample is a close-up with a hole for the head. Holes are wider than what is
painted into them, as an editor's masks are, so that the networks also learn to go on with the place around a
person.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from generation.miniature.training import captions
from generation.miniature.training.latents import VAE_FACTOR
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import SCENE, View, grow
from generation.models.profiles import MINIATURE
from generation.picture.enlarging import CloseUp, close_up_of
from generation.poses import openpose

KINDS = ("pose", "face")
CAPTIONS = 4  # of each sample, in other words
SEEDS = 900_000  # scenes that are trained on; above them the readers are checked, then all is held out
# How much an error counts: in the hole, on a head in it, on the face of a close-up (since eyes and mouth are
# small), elsewhere.
INSIDE, ON_HEAD, ON_FACE, OUTSIDE = 1.0, 3.0, 2.0, 0.1
WHOLE = CloseUp(None)
CLOSE_UPS = 0.6  # share, see ``draw_sample``

assert scenes.HELD_OUT > SEEDS


def scene_of(kind: str, index: int) -> scenes.Scene:
    """The scene of training sample ``index`` of its kind. Raises ValueError for a seed that is held out."""
    return _scene(len(KINDS) * index + KINDS.index(kind))


def _scene(seed: int) -> scenes.Scene:
    if seed >= SEEDS:
        raise ValueError(f"seed {seed}: those from {SEEDS} on are held out for measuring")
    return scenes.random_scene(seed, people.random_person(seed))


def close_up_view(scene: scenes.Scene, share: float) -> View:
    """A square inside the scene around the head, the face's height being ``share`` (0..1) of its side."""
    side = min(SCENE, 2 * scene.pose.head_half / share)
    x, y = scene.pose.head
    left, top = (min(max(0.0, c - side / 2), SCENE - side) for c in (x, y))
    return View(left, top, side, SCENE)


def draw_picture(index: int) -> dict[str, np.ndarray]:
    """For the VAE: ``picture`` (256, 256, 3) uint8 and ``head``, its middle in pixels; half are close-ups."""
    rng = random.Random(f"picture {index}")
    scene = _scene(index)
    view = close_up_view(scene, rng.uniform(0.3, 0.7)) if index % 2 else View()
    (x, y), corner = scene.pose.head, (view.left, view.top)
    head = [(x - corner[0]) * view.scale, (y - corner[1]) * view.scale]
    return {"picture": np.asarray(scenes.draw_scene(scene, view)), "head": np.asarray(head, np.float32)}


def draw_sample(kind: str, index: int, close_ups: float = CLOSE_UPS) -> dict:
    """A sample of ``KINDS``, all pictures 256 x 256.

    ``picture`` and ``around`` are (256, 256, 3) uint8; ``around`` is grey in the hole, and around a head now
    and then blurred as a painted body is. ``hole`` (64, 64) bool and ``weight`` (64, 64) float16 have the
    latents' size. ``captions`` are ``CAPTIONS`` texts. A pose has a ``skeleton``, (3, 256, 256) uint8.
    ``close_ups``: the share of poses, among those whose hole is small enough, that are close-ups.
    """
    rng = random.Random(f"{kind} {index}")
    scene = scene_of(kind, index)
    if kind == "face":
        view = close_up_view(scene, rng.uniform(0.32, 0.68))
        hole, words = head_hole(scene, view, rng), captions.face_caption
        picture = around = scenes.draw_scene(scene, view)
        if rng.random() < 0.5:
            around = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 4)))
        special, counts = scenes.face_mask(scene, view), ON_FACE
    else:
        hole, words = body_hole(scene, rng), captions.scene_caption
        close_up = close_up_of(hole, MINIATURE) if rng.random() < close_ups else WHOLE
        view = view_of(close_up)
        picture = around = _enlarged_scene(scene, close_up)
        hole = close_up.enlarge(hole)
        special, counts = scenes.head_silhouette(scene, view), ON_HEAD
    inside = np.asarray(hole) > 127
    small = inside[::VAE_FACTOR, ::VAE_FACTOR]  # as the pipelines shrink masks: nearest neighbour
    weight = np.where(small, INSIDE, OUTSIDE)
    weight[small & (np.asarray(special)[::VAE_FACTOR, ::VAE_FACTOR] > 127)] = counts
    sample = {
        "picture": np.asarray(picture),
        "around": np.where(inside[..., None], np.uint8(127), np.asarray(around)),
        "hole": small,
        "weight": weight.astype(np.float16),
        "captions": [words(scene, rng) for _ in range(CAPTIONS)],
    }
    if kind == "pose":
        sample["skeleton"] = skeleton_picture(scene, close_up)
    return sample


def skeleton_picture(scene: scenes.Scene, close_up: CloseUp = WHOLE) -> np.ndarray:
    """(3, 256, 256) uint8: what the ControlNet sees."""
    drawn = np.asarray(close_up.enlarge(openpose.draw(scene.pose.visible(), (SCENE, SCENE))))
    return np.ascontiguousarray(drawn.transpose(2, 0, 1))


def view_of(close_up: CloseUp) -> View:
    if not close_up.box:
        return View()
    left, top, right, _ = close_up.box
    return View(left, top, right - left, SCENE)


def _enlarged_scene(scene: scenes.Scene, close_up: CloseUp) -> Image.Image:
    """A sharp person in a place that is as blurred as an enlarged photograph."""
    view = view_of(close_up)
    picture = scenes.draw_scene(scene, view)
    if not close_up.box:
        return picture
    place = close_up.enlarge(scenes.draw_background(scene))
    return Image.composite(picture, place, scenes.silhouette(scene, view))


def body_hole(scene: scenes.Scene, rng: random.Random) -> Image.Image:
    """A subject mask as editors make them: an outline, one with room for others, blocks, or a box."""
    silhouette, form = scenes.silhouette(scene), rng.random()
    if form < 0.35:
        return _rounded(grow(silhouette, rng.randint(4, 14)))
    if form < 0.7:
        other = dataclasses.replace(
            scene,
            garment=rng.choice(people.GARMENTS),
            person=dataclasses.replace(
                scene.person,
                hair_style=rng.choice(("long", "bun", "curly")),
                hair_volume=rng.uniform(0.4, 0.9),
            ),
        )
        either = ImageChops.lighter(silhouette, scenes.silhouette(other))
        return _rounded(grow(either, rng.randint(3, 10)))
    if form < 0.87:
        cell = rng.choice((16, 24, 32))
        small = grow(silhouette, 2).resize((SCENE // cell, SCENE // cell), Image.Resampling.BOX)
        return small.point(lambda v: 255 if v > 4 else 0).resize(silhouette.size, Image.Resampling.NEAREST)
    return _box(silhouette, rng)


def head_hole(scene: scenes.Scene, view: View, rng: random.Random) -> Image.Image:
    """A head mask: mostly with room for every hair style, else an ellipse, the head's outline or a box."""
    form = rng.random()
    if form < 0.5:
        return grow(scenes.head_mask(scene, view), rng.choice((0, 0, 3, 6, 10)))
    if form < 0.65:
        return _ellipse(scene, view, rng)
    if form < 0.9:
        return _rounded(grow(scenes.head_silhouette(scene, view), rng.randint(4, 16)))
    return _box(scenes.head_silhouette(scene, view), rng)


def _ellipse(scene: scenes.Scene, view: View, rng: random.Random) -> Image.Image:
    """Around the head with room for hair, as ``generation.poses`` proposes it from a skeleton alone."""
    (x, y), half = scene.pose.head, scene.pose.head_half * view.scale
    x, y = (x - view.left) * view.scale, (y - view.top) * view.scale
    across, up, down = (
        rng.uniform(1.15, 1.5) * half,
        rng.uniform(1.4, 1.8) * half,
        rng.uniform(1.4, 1.7) * half,
    )
    mask = Image.new("L", (view.pixels, view.pixels))
    ImageDraw.Draw(mask).ellipse((x - across, y - up, x + across, y + down), fill=255)
    return mask


def _rounded(mask: Image.Image) -> Image.Image:
    return mask.filter(ImageFilter.GaussianBlur(3)).point(lambda v: 255 if v > 100 else 0)


def _box(silhouette: Image.Image, rng: random.Random) -> Image.Image:
    left, top, right, bottom = silhouette.getbbox() or (0, 0, SCENE, SCENE)
    mask = Image.new("L", silhouette.size)
    margins = [rng.randint(2, 14) for _ in range(4)]
    corners = (left - margins[0], top - margins[1], right + margins[2], bottom + margins[3])
    ImageDraw.Draw(mask).rectangle(corners, fill=255)
    return mask
