"""The steps of a picture: functions from picture to picture, each one call of a diffusers pipeline.

``generator_classic`` shows in which order they are called and with what. All pictures have one size, that of
the canvas: RGB, masks L with 0 or 255. The person mask is the subject mask and the face mask together.
``profile`` holds the numbers. ``on_step`` is diffusers' ``callback_on_step_end``.

A pipeline changes all pixels a little. So a step lays what it painted over the picture that it began with:
outside its mask no pixel changes (harmonize: little), inside it the edge fades over ``feather`` pixels.

``python -m generation.steps NAME FOLDER`` runs one step on a job's folder, see ``processes.step_process``.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image

from generation.models.profiles import ModelProfile
from generation.models.vae import vae_copy
from generation.picture import face_colours
from generation.picture.compositing import add_change, bounded, keep_colours, lay_over
from generation.picture.cut_out import restore_place
from generation.seeds import candidate_generators
from generation.vision import detectors_of, likeness

if TYPE_CHECKING:
    import diffusers
    import torch


def pose(
    *,
    background: Image.Image,
    skeleton: Image.Image,
    subject_mask: Image.Image,
    person_mask: Image.Image,
    prompt: str,
    pipeline: diffusers.StableDiffusionControlNetInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Paint the subject into the subject mask of the empty place, in the skeleton's pose.

    The model invents a place around the subject as well. In families with ``profile.cut_out``, the subject is
    cut out and laid on the real place instead; what is outside the person mask can't belong to the subject.
    """
    painted = pipeline(
        prompt=prompt,
        negative_prompt=profile.style.negative,
        image=background,
        mask_image=subject_mask,
        control_image=skeleton,
        controlnet_conditioning_scale=profile.controlnet_scale,
        strength=profile.pose.strength,
        num_inference_steps=profile.pose.steps,
        guidance_scale=profile.pose.guidance,
        width=background.width,
        height=background.height,
        generator=generator,
        callback_on_step_end=on_step,
    ).images[0]
    painted = lay_over(painted, background, subject_mask, profile.feather)
    if profile.cut_out:
        painted = restore_place(painted, background, skeleton, person_mask, subject_mask)
    return painted


def detail(
    picture: Image.Image,
    subject_mask: Image.Image,
    prompt: str,
    pipeline: diffusers.StableDiffusionInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Repaint the subject mask from noise so weak that the subject stays: more and finer detail.

    The step is done twice. Each time adds detail; stronger noise instead would cost arms, since no skeleton
    guides it. And noise so weak invents no place around the subject: nothing has to be cut out.
    """
    painted = pipeline(
        prompt=prompt,
        negative_prompt=profile.style.negative,
        image=picture,
        mask_image=subject_mask,
        strength=profile.detail.strength,
        num_inference_steps=profile.detail.steps,
        guidance_scale=profile.detail.guidance,
        width=picture.width,
        height=picture.height,
        generator=generator,
        callback_on_step_end=on_step,
    ).images[0]
    # Without the VAE's blur, which these two weak steps would else add: ``vae_copy`` says why.
    painted = add_change(picture, vae_copy(picture, pipeline), painted)
    painted = keep_colours(painted, picture, radius=profile.colours_kept)
    return lay_over(painted, picture, subject_mask, profile.feather)


def harmonize(
    picture: Image.Image,
    subject_mask: Image.Image,
    prompt: str,
    pipeline: diffusers.StableDiffusionImg2ImgPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Repaint the whole picture from very weak noise, so that subject and place get the same grain.

    Outside the subject mask no channel of a pixel moves by more than ``profile.harmonize_limit`` (of 255).
    There is no width and height: an image-to-image pipeline takes them from the picture.
    """
    painted = pipeline(
        prompt=prompt,
        negative_prompt=profile.style.negative,
        image=picture,
        strength=profile.harmonize.strength,
        num_inference_steps=profile.harmonize.steps,
        guidance_scale=profile.harmonize.guidance,
        generator=generator,
        callback_on_step_end=on_step,
    ).images[0]
    painted = add_change(picture, vae_copy(picture, pipeline), painted)
    painted = keep_colours(painted, picture, radius=profile.colours_kept)
    place = bounded(painted, picture, profile.harmonize_limit)
    return lay_over(painted, place, subject_mask, profile.feather)


def face(
    *,
    picture: Image.Image,
    background: Image.Image,
    skeleton: Image.Image,
    face_mask: Image.Image,
    person_mask: Image.Image,
    embeddings: list[list[float]] | None,
    prompt: str,
    pipeline: diffusers.StableDiffusionInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Paint the visitor's face into the face mask; ``pipeline`` has their LoRA in it.

    The mask's surroundings are enlarged to the face resolution, painted there and laid back. One batch has
    several candidates; the nearest to ``embeddings``, vectors of the faces in the visitor's photos, is kept.
    Without those, one is painted. Then the face's skin moves towards the colour of the neck.
    """
    count = profile.face_candidates if embeddings else 1
    painted = pipeline(
        prompt=prompt,
        negative_prompt=profile.style.negative,
        image=picture,
        mask_image=face_mask,
        padding_mask_crop=profile.face_padding,
        width=profile.face_resolution,
        height=profile.face_resolution,
        strength=profile.face.strength,
        num_inference_steps=profile.face.steps,
        guidance_scale=profile.face.guidance,
        num_images_per_prompt=count,
        generator=candidate_generators(generator, count),
        callback_on_step_end=on_step,
    ).images
    candidates = [lay_over(one.convert("RGB"), picture, face_mask, profile.feather) for one in painted]
    if profile.cut_out:
        # The place around the head comes back unharmonized: harmonize never saw it without the subject.
        candidates = [restore_place(one, background, skeleton, person_mask, face_mask) for one in candidates]

    detectors = detectors_of(profile)
    best = candidates[0] if count == 1 else likeness.nearest(candidates, face_mask, embeddings, detectors)
    if profile.face_colour_limit:
        fitted = face_colours.fit_to_neck(best, face_mask, skeleton, profile.face_colour_limit, detectors)
        best = lay_over(fitted, best, face_mask, profile.feather)
    return best


if __name__ == "__main__":
    # By name, not by import: that module imports this one.
    runpy.run_module("generation.processes.step_process", run_name="__main__")
