"""The steps of a picture. Each is a function that takes a picture, has it painted over, and returns the new
picture.

``generator_classic`` shows the order of the steps. ``canvas`` holds the request's pictures: the empty place
(``background``), the skeleton and the masks. Pictures are RGB and masks are L with the values 0 and 255, all
of one size. The person mask is the union of subject mask and face mask. ``painter`` calls the step's
diffusers pipeline with its prompt and noise; the painter's ``profile`` holds strengths and step counts.

A pipeline changes every pixel a little, also outside the mask. So each step keeps the pipeline's result only
inside the mask and restores the old pixels outside it. Inside the mask's edge, the new pixels fade into the
old ones over ``profile.feather`` pixels. Harmonize paints everywhere, but limits the change outside the mask.

``python -m generation.steps NAME FOLDER`` runs one step on a job's folder, see ``processes.step_process``.
"""

from __future__ import annotations

import runpy

from PIL import Image

from generation.models.painter import Painter
from generation.models.vae import vae_copy
from generation.picture import face_colours
from generation.picture.canvas import Canvas
from generation.picture.compositing import add_change, bounded, keep_colours, lay_over
from generation.picture.cut_out import restore_place
from generation.picture.enlarging import close_up_of
from generation.picture.portrait import with_face_of
from generation.picture.restoring import restore_head
from generation.picture.underpainting import Figure, underpainted
from generation.seeds import candidate_generators
from generation.vision import detectors_of, likeness
from generation.vision.visitor import Visitor


def pose(figure: Figure, canvas: Canvas, painter: Painter) -> Image.Image:
    """Paint the subject into the subject mask of the empty place, in the skeleton's pose.

    A small subject is painted as a close-up: see ``picture.enlarging``. With ``profile.underpainting``, a
    figure in flat colours takes the body's place before the last denoising steps, so that arms and legs are
    whole: see ``picture.underpainting``. The painted head stays.

    Inside the mask, the model also invents a background around the subject. With ``profile.matting``, the
    real place replaces this background. The cut-out looks for the subject inside the person mask.
    """
    profile, place = painter.profile, canvas.background
    close_up = close_up_of(canvas.subject_mask, profile)
    if profile.underpainting:
        painter = underpainted(figure, canvas, close_up, painter)
    (painted,) = painter.paint(
        profile.pose,
        image=close_up.enlarge(place),
        mask_image=close_up.enlarge(canvas.subject_mask),
        control_image=close_up.enlarge(canvas.skeleton),
        controlnet_conditioning_scale=profile.controlnet_scale,
        width=place.width,
        height=place.height,
    )
    painted = close_up.put_back(painted, place)
    painted = lay_over(painted, place, canvas.subject_mask, profile.feather)
    return restore_place(painted, place, canvas, canvas.subject_mask, profile)


def detail(picture: Image.Image, canvas: Canvas, painter: Painter) -> Image.Image:
    """Inpaint the subject mask with low strength: the subject stays, and gets more and finer detail.

    This step has no skeleton to guide it. With a higher strength it would damage arms, so it runs twice with
    a low one. With low strength the model invents no background either, so this step needs no cut-out.
    """
    profile, close_up = painter.profile, close_up_of(canvas.subject_mask, painter.profile)
    view = close_up.enlarge(picture)
    mask = close_up.enlarge(canvas.subject_mask)
    size = {"width": picture.width, "height": picture.height}
    (painted,) = painter.paint(profile.detail, image=view, mask_image=mask, **size)
    painted = _changed(view, painted, painter)
    painted = add_change(picture, close_up.put_back(view, picture), close_up.put_back(painted, picture))
    return lay_over(painted, picture, canvas.subject_mask, profile.feather)


def harmonize(picture: Image.Image, canvas: Canvas, painter: Painter) -> Image.Image:
    """Repaint the whole picture by img2img with low strength, so that subject and place get the same grain.

    Outside the subject mask, no colour channel changes by more than ``profile.harmonize_limit`` (of 255). If
    ``profile.matting`` is set, this holds for the place between the subject and the mask's edge, too.
    The call has no width and height, because an img2img pipeline takes them from the picture.
    """
    profile = painter.profile
    (painted,) = painter.paint(profile.harmonize, image=picture)
    painted = _changed(picture, painted, painter)
    place = bounded(painted, canvas.background if profile.matting else picture, profile.harmonize_limit)
    painted = lay_over(painted, place, canvas.subject_mask, profile.feather)
    return restore_place(painted, place, canvas, canvas.subject_mask, profile)


def _changed(picture: Image.Image, painted: Image.Image, painter: Painter) -> Image.Image:
    """``picture`` with what the model has changed in ``painted``, without what the VAE has.

    Encoding and decoding by the VAE blur a picture. So only the difference between ``painted`` and the VAE's
    copy of the old picture is added to the old picture.
    """
    changed = add_change(picture, vae_copy(picture, painter.pipeline), painted)
    return keep_colours(changed, picture, radius=painter.profile.colours_kept)


def face(picture: Image.Image, canvas: Canvas, visitor: Visitor, painter: Painter) -> Image.Image:
    """Paint the visitor's face into the face mask. The painter's pipeline has the visitor's LoRA loaded.

    With a strength below 1, the painting begins from the head that is there. So the face keeps its place,
    size and tilt. With ``profile.portrait``, the visitor's face is put there first: see ``picture.portrait``.

    The pipeline crops the mask with a margin, enlarges the crop to the face resolution, paints it, and puts
    it back. It paints ``profile.face_candidates`` faces in one batch, and keeps the nearest to the visitor's.
    Without their embeddings, only one face is painted. With ``profile.restoration``, restored heads are
    compared, since the finished picture has one. Last, the skin's colour is moved towards that of the neck.
    """
    profile, mask, detectors = painter.profile, canvas.face_mask, detectors_of(painter.profile)
    count = profile.face_candidates if visitor.embeddings else 1
    crop = {
        "mask_image": mask,
        "padding_mask_crop": profile.face_padding,
        "width": profile.face_resolution,
        "height": profile.face_resolution,
        "num_images_per_prompt": count,
        "generator": candidate_generators(painter.generator, count),
    }

    def nearest(heads: list[Image.Image]) -> Image.Image:
        return heads[0] if count == 1 else likeness.nearest(heads, mask, visitor, detectors)

    begun = picture
    if profile.portrait:
        portrait = nearest(painter.paint(profile.portrait, image=picture, **crop))
        seen = likeness.look_closely(portrait, mask, detectors)
        begun = with_face_of(portrait, seen, picture, canvas.skeleton)
        painter = painter.after(profile.portrait.performed)
    painted = painter.paint(profile.face, image=begun, **crop)
    candidates = [lay_over(one, picture, mask, profile.feather) for one in painted]
    best = candidates[0]
    if count > 1:
        restored = [restore_head(one, canvas, visitor, profile) for one in candidates]
        best = candidates[restored.index(nearest(restored))]
    if not profile.face_colour_limit:
        return best
    fitted = face_colours.fit_to_neck(best, mask, canvas.skeleton, profile.face_colour_limit, detectors)
    return lay_over(fitted, best, mask, profile.feather)


if __name__ == "__main__":
    # By name and not by import, because ``step_process`` imports this module.
    runpy.run_module("generation.processes.step_process", run_name="__main__")
