"""The steps of a picture: functions from picture to picture, each one call of a diffusers pipeline.

``generator_classic`` shows in which order they are called and with what. All pictures have one size, that of
the canvas: RGB, masks L with 0 or 255. ``profile`` holds the numbers: denoising steps, guidance and strength
of each step. ``on_step`` is diffusers' ``callback_on_step_end``. An inpaint pipeline repaints all pixels a
little, so after each step the pixels outside its mask are taken from the picture that it began with.

``python -m generation.steps NAME FOLDER`` runs one step on a job's folder, see ``processes.step_process``.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image

from generation.models.profiles import ModelProfile
from generation.models.vae import vae_copy
from generation.picture import cut_out, face_colours
from generation.picture.compositing import add_change, bounded, keep_colours, lay_over
from generation.seeds import candidate_generators
from generation.vision import detectors_of, likeness

if TYPE_CHECKING:
    import torch
    from diffusers import (
        StableDiffusionControlNetInpaintPipeline,
        StableDiffusionImg2ImgPipeline,
        StableDiffusionInpaintPipeline,
    )


def pose(
    background: Image.Image,
    skeleton: Image.Image,
    subject_mask: Image.Image,
    person_mask: Image.Image,
    prompt: str,
    pipeline: StableDiffusionControlNetInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Paint the subject into the subject mask of the empty place, in the skeleton's pose."""
    painted = pipeline(
        prompt=prompt,
        negative_prompt=profile.style.negative,
        image=background,
        mask_image=subject_mask,
        control_image=skeleton,
        controlnet_conditioning_scale=1.0,
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
        painted = cut_out.restore_place(painted, background, skeleton, person_mask, subject_mask)
    return painted


def detail(
    picture: Image.Image,
    subject_mask: Image.Image,
    prompt: str,
    pipeline: StableDiffusionInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Repaint the subject mask from noise so weak that the subject stays: more and finer detail."""
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
    painted = add_change(picture, vae_copy(picture, pipeline), painted)
    painted = keep_colours(painted, picture, profile.colours_kept)
    return lay_over(painted, picture, subject_mask, profile.feather)


def harmonize(
    picture: Image.Image,
    subject_mask: Image.Image,
    prompt: str,
    pipeline: StableDiffusionImg2ImgPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Repaint the whole picture from very weak noise, so that subject and place get the same grain.

    Outside the subject mask no pixel moves by more than the profile's ``harmonize_limit``.
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
    painted = keep_colours(painted, picture, profile.colours_kept)
    place = bounded(painted, picture, profile.harmonize_limit)
    return lay_over(painted, place, subject_mask, profile.feather)


def face(
    picture: Image.Image,
    background: Image.Image,
    skeleton: Image.Image,
    face_mask: Image.Image,
    person_mask: Image.Image,
    photos: list[list[float]] | None,
    prompt: str,
    pipeline: StableDiffusionInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Paint the visitor's face into the face mask; ``pipeline`` has their LoRA in it.

    The surroundings of the mask are enlarged to the face resolution, painted there and laid back. Several
    candidates are painted in one batch, and the most like the visitor's ``photos`` (embeddings) is chosen;
    without photos, one is painted. Then the skin of the face moves towards the colour of the neck.
    """
    count = profile.face_candidates if photos else 1
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
    faces = [lay_over(candidate.convert("RGB"), picture, face_mask, profile.feather) for candidate in painted]
    if profile.cut_out:
        faces = [cut_out.restore_place(each, background, skeleton, person_mask, face_mask) for each in faces]

    detectors = detectors_of(profile)
    best = faces[0] if count == 1 else likeness.nearest(faces, face_mask, photos, detectors)
    if profile.face_colour_limit:
        limit = profile.face_colour_limit
        fitted = face_colours.fit_to_neck(best, face_mask, skeleton, limit, detectors)
        best = lay_over(fitted, best, face_mask, profile.feather)
    return best


if __name__ == "__main__":
    # By name, not by import: that module imports this one.
    runpy.run_module("generation.processes.step_process", run_name="__main__")
