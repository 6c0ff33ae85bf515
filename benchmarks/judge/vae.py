"""What the VAE alone costs: pictures, faces and garments that pass it. Nothing is painted here."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image
from skimage import color

from benchmarks import measures
from benchmarks.judge.table import Row
from generation.miniature.world import joints, scenes
from generation.miniature.world.pen import View
from generation.miniature.world.people import COLOURS
from generation.miniature.world.scenes import HELD_OUT, Scene
from generation.models import pipelines
from generation.models.profiles import get_profile
from generation.models.vae import vae_copy

PASSES = 5  # the steps of a picture with a face
GARMENTS_FROM = HELD_OUT + 400  # seeds of the scenes whose garments are measured


def close_view(scene: Scene, pixels: int) -> View:
    """The head with its surroundings, as the face step enlarges it."""
    half, (x, y) = scene.pose.head_half, scene.pose.head
    side = 5.2 * half
    return View(x - side / 2, y - side / 2, side, pixels)


def garment_difference(copy: Image.Image, drawn: Image.Image, scene: Scene) -> float:
    """CIE 2000, the mean over the torso's pixels."""
    inside = measures.torso(scene.pose)
    seen, own = (color.rgb2lab(np.asarray(picture)[inside] / 255) for picture in (copy, drawn))
    return float(color.deltaE_ciede2000(seen, own).mean())


def rows(asked: list[Scene]) -> list[Row]:
    """One pass over scenes and faces, what five passes lose, and each colour's garments at each shot type."""
    profile = get_profile("miniature")
    pipeline = pipelines.PipelineCache().pipeline("face", profile)
    whole, faces, lost, garments = [], [], [], {colour: [] for colour in COLOURS}
    for scene in asked:
        drawn = scenes.draw_scene(scene)
        copies = [vae_copy(drawn, pipeline)]
        for _ in range(PASSES - 1):
            copies.append(vae_copy(copies[-1], pipeline))
        first, last = (measures.psnr(copy, drawn) for copy in (copies[0], copies[-1]))
        whole.append(first)
        lost.append(first - last)
        close = scenes.draw_scene(scene, close_view(scene, profile.face_resolution))
        faces.append(measures.psnr(vae_copy(close, pipeline), close))
    for number, colour in enumerate(COLOURS):
        for shot in joints.SHOT_TYPES:
            scene = scenes.random_scene(GARMENTS_FROM + number, shot=shot)
            scene = dataclasses.replace(scene, colour=colour)
            drawn = scenes.draw_scene(scene)
            garments[colour].append(garment_difference(vae_copy(drawn, pipeline), drawn, scene))
    worst = max(garments, key=lambda colour: np.mean(garments[colour]))
    return [
        Row("VAE, scenes, one pass", whole, 35, unit="dB"),
        Row("VAE, faces, one pass", faces, 36, unit="dB"),
        Row(f"VAE, loss of {PASSES} passes", lost, 1.5, unit="dB", least=False),
        Row(f"VAE, garments, {len(COLOURS)} colours, CIE dE", sum(garments.values(), []), 4, least=False),
        Row(f"the worst of them, {worst}", garments[worst]),
    ]
