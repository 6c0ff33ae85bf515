"""The steps of a picture. Each is a function that takes a picture, calls one diffusers pipeline, and returns
the new picture.

``generator_classic`` shows the order of the steps. ``canvas`` holds the request's pictures: the empty place
(``background``), the skeleton and the masks. Pictures are RGB and masks are L with the values 0 and 255, all
of one size. The person mask is the union of subject mask and face mask. ``profile`` holds strengths, step
counts and sizes. ``on_step`` is diffusers' ``callback_on_step_end``.

A pipeline changes every pixel a little, also outside the mask. So each step keeps the pipeline's result only
inside the mask and restores the old pixels outside it. Inside the mask's edge, the new pixels fade into the
old ones over ``profile.feather`` pixels. Harmonize paints everywhere, but limits the change outside the mask.

``python -m generation.steps NAME FOLDER`` runs one step on a job's folder, see ``processes.step_process``.
"""

from __future__ import annotations

import functools
import runpy
from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from generation.models.blending import put_in
from generation.models.profiles import ModelProfile
from generation.models.vae import vae_copy
from generation.picture import face_colours
from generation.picture.canvas import Canvas
from generation.picture.compositing import add_change, bounded, keep_colours, lay_over
from generation.picture.cut_out import restore_place
from generation.picture.enlarging import CloseUp, close_up_of
from generation.picture.portrait import with_face_of
from generation.picture.underpainting import Figure, draw_underpainting, with_skin_of
from generation.seeds import candidate_generators
from generation.vision import detectors_of, likeness
from generation.vision.looks import Looks

if TYPE_CHECKING:
    import diffusers
    import torch


def pose(
    figure: Figure,
    canvas: Canvas,
    prompt: str,
    pipeline: diffusers.StableDiffusionControlNetInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Paint the subject into the subject mask of the empty place, in the skeleton's pose.

    A small subject is painted as a close-up: see ``picture.enlarging``. With ``profile.underpainting``, a
    figure in flat colours takes the body's place before the last denoising steps, so that arms and legs are
    whole: see ``picture.underpainting``. The painted head stays.

    Inside the mask, the model also invents a background around the subject. With ``profile.matting``, the
    real place replaces this background. The cut-out looks for the subject inside the person mask.
    """
    close_up = close_up_of(canvas.subject_mask, profile)
    if profile.underpainting:
        area = close_up.enlarge(ImageChops.invert(canvas.face_mask))
        draw = functools.partial(_underpainting, figure, canvas, close_up, profile)
        on_step = put_in(draw, area, profile.underpainting, generator, on_step)
    painted = pipeline(
        prompt=prompt,
        negative_prompt=profile.style.negative,
        image=close_up.enlarge(canvas.background),
        mask_image=close_up.enlarge(canvas.subject_mask),
        control_image=close_up.enlarge(canvas.skeleton),
        controlnet_conditioning_scale=profile.controlnet_scale,
        **profile.pose.arguments,
        width=canvas.background.width,
        height=canvas.background.height,
        generator=generator,
        callback_on_step_end=on_step,
    ).images[0]
    painted = close_up.put_back(painted, canvas.background)
    painted = lay_over(painted, canvas.background, canvas.subject_mask, profile.feather)
    if profile.matting:
        painted = restore_place(painted, canvas.background, canvas, canvas.subject_mask, profile)
    return painted


def _underpainting(
    figure: Figure,
    canvas: Canvas,
    close_up: CloseUp,
    profile: ModelProfile,
    painted: Callable[[], Image.Image],
) -> Image.Image | None:
    """The figure in the place, as ``close_up`` shows it. ``painted`` gives the unfinished picture."""
    if figure.skin is None:
        mask = close_up.enlarge(canvas.face_mask)
        figure = with_skin_of(figure, likeness.look_closely(painted(), mask, detectors_of(profile)))
    body = draw_underpainting(canvas.background, canvas.skeleton, figure)
    return body and close_up.enlarge(body)


def detail(
    picture: Image.Image,
    canvas: Canvas,
    prompt: str,
    pipeline: diffusers.StableDiffusionInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Inpaint the subject mask with low strength: the subject stays, and gets more and finer detail.

    This step has no skeleton to guide it. With a higher strength it would damage arms, so it runs twice with
    a low one. With low strength the model invents no background either, so this step needs no cut-out.
    """
    close_up = close_up_of(canvas.subject_mask, profile)
    view = close_up.enlarge(picture)
    painted = pipeline(
        prompt=prompt,
        negative_prompt=profile.style.negative,
        image=view,
        mask_image=close_up.enlarge(canvas.subject_mask),
        **profile.detail.arguments,
        width=picture.width,
        height=picture.height,
        generator=generator,
        callback_on_step_end=on_step,
    ).images[0]
    # Encoding and decoding by the VAE blur a picture. So only the difference between ``painted`` and the
    # VAE's copy of the old picture is added to the old picture: it is what the model itself has changed.
    painted = add_change(view, vae_copy(view, pipeline), painted)
    painted = keep_colours(painted, view, radius=profile.colours_kept)
    painted = add_change(picture, close_up.put_back(view, picture), close_up.put_back(painted, picture))
    return lay_over(painted, picture, canvas.subject_mask, profile.feather)


def harmonize(
    picture: Image.Image,
    canvas: Canvas,
    prompt: str,
    pipeline: diffusers.StableDiffusionImg2ImgPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Repaint the whole picture by img2img with low strength, so that subject and place get the same grain.

    Outside the subject mask, no colour channel changes by more than ``profile.harmonize_limit`` (of 255). If
    ``profile.matting`` is set, this holds for the place between the subject and the mask's edge, too.
    The call has no width and height, because an img2img pipeline takes them from the picture.
    """
    painted = pipeline(
        prompt=prompt,
        negative_prompt=profile.style.negative,
        image=picture,
        **profile.harmonize.arguments,
        generator=generator,
        callback_on_step_end=on_step,
    ).images[0]
    painted = add_change(picture, vae_copy(picture, pipeline), painted)
    painted = keep_colours(painted, picture, radius=profile.colours_kept)
    place = bounded(painted, canvas.background if profile.matting else picture, profile.harmonize_limit)
    painted = lay_over(painted, place, canvas.subject_mask, profile.feather)
    if profile.matting:
        painted = restore_place(painted, place, canvas, canvas.subject_mask, profile)
    return painted


def face(
    picture: Image.Image,
    canvas: Canvas,
    embeddings: list[list[float]] | None,
    looks: Looks,
    prompt: str,
    pipeline: diffusers.StableDiffusionInpaintPipeline,
    profile: ModelProfile,
    generator: torch.Generator,
    on_step: Callable,
) -> Image.Image:
    """Paint the visitor's face into the face mask. ``pipeline`` must have the visitor's LoRA loaded.

    With a strength below 1, the painting begins from the head that is there. So the face keeps its place,
    size and tilt. With ``profile.portrait``, the visitor's face is put there first: see ``picture.portrait``.

    The pipeline crops the mask with a margin, enlarges the crop to the face resolution, paints it, and puts
    it back. It paints ``profile.face_candidates`` faces in one batch. The face nearest to ``embeddings`` (a
    vector for each face in the visitor's photos) and to ``looks`` is kept. Without ``embeddings``, only one
    face is painted. Last, the skin's colour is moved towards that of the neck.
    """
    count = profile.face_candidates if embeddings else 1
    paint = functools.partial(
        pipeline,
        prompt=prompt,
        negative_prompt=profile.style.negative,
        mask_image=canvas.face_mask,
        padding_mask_crop=profile.face_padding,
        width=profile.face_resolution,
        height=profile.face_resolution,
        num_images_per_prompt=count,
        generator=candidate_generators(generator, count),
    )
    detectors = detectors_of(profile)

    def nearest(heads: list[Image.Image]) -> Image.Image:
        if count == 1:
            return heads[0]
        return likeness.nearest(heads, canvas.face_mask, embeddings, looks, detectors)

    begun = picture
    if profile.portrait:
        heads = paint(image=picture, callback_on_step_end=on_step, **profile.portrait.arguments).images
        portrait = nearest([head.convert("RGB") for head in heads])
        seen = likeness.look_closely(portrait, canvas.face_mask, detectors)
        begun = with_face_of(portrait, seen, picture, canvas.skeleton)
        on_step = _later(on_step, profile.portrait.performed)
    painted = paint(image=begun, callback_on_step_end=on_step, **profile.face.arguments).images
    candidates = [lay_over(one.convert("RGB"), picture, canvas.face_mask, profile.feather) for one in painted]
    if profile.matting:
        # Around the head, the place is restored as it was before harmonize. These pixels have no harmonized
        # version: when harmonize ran, the head of the painted subject covered them.
        around = canvas.background, canvas, canvas.face_mask, profile
        candidates = [restore_place(one, *around) for one in candidates]
    return _fitted_to_neck(nearest(candidates), canvas.face_mask, canvas.skeleton, profile)


def _later(on_step: Callable, before: int) -> Callable:
    """``on_step`` for a second call of a pipeline, ``before`` denoising steps after the first one's start."""

    def counted(pipeline: diffusers.DiffusionPipeline, number: int, timestep, tensors: dict) -> dict:
        return on_step(pipeline, before + number, timestep, tensors)

    return counted


def _fitted_to_neck(
    picture: Image.Image, face_mask: Image.Image, skeleton: Image.Image, profile: ModelProfile
) -> Image.Image:
    limit = profile.face_colour_limit
    if not limit:
        return picture
    fitted = face_colours.fit_to_neck(picture, face_mask, skeleton, limit, detectors_of(profile))
    return lay_over(fitted, picture, face_mask, profile.feather)


if __name__ == "__main__":
    # By name and not by import, because ``step_process`` imports this module.
    runpy.run_module("generation.processes.step_process", run_name="__main__")
