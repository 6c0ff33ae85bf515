"""Puts a picture into a part of a painting that is not finished yet.

torch and diffusers are imported inside the functions, because a step's process measures how long this import
takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image

from generation.models.vae import latents_of, predicted_picture

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline


def put_in(
    draw: Callable[[Callable[[], Image.Image]], Image.Image | None],
    area: Image.Image,
    timestep: int,
    generator: torch.Generator,
    on_step: Callable,
) -> Callable:
    """A callback for diffusers. It calls ``on_step``, and once it puts a picture into the painting.

    ``draw`` makes the picture when its time has come. Its argument is a function that gives the picture as
    the scheduler predicts it by then, for colours that must fit. None leaves the painting as it is.

    Before the first denoising step at ``timestep`` (0 to 999) or below, the latents inside ``area`` become
    those of the picture, with as much noise as this step expects. The steps from there on paint them over.
    This is SDEdit (Meng et al. 2022) in a part of the latents, which blended latent diffusion (Avrahami et
    al. 2023) showed to leave no seam. The picture (RGB) and ``area`` (L, 0 or 255) have the size at which
    the pipeline paints.
    """

    def callback(pipeline: DiffusionPipeline, number: int, now: torch.Tensor, tensors: dict) -> dict:
        following = pipeline.scheduler.timesteps[number + 1 : number + 2]
        if len(following) and following[0] <= timestep < now:
            picture = draw(lambda: predicted_picture(pipeline))
            if picture:
                latents = _blended(pipeline, tensors["latents"], picture, area, following, generator)
                tensors = tensors | {"latents": latents}
        return tensors | on_step(pipeline, number, now, tensors)

    return callback


def _blended(
    pipeline: DiffusionPipeline,
    latents: torch.Tensor,
    picture: Image.Image,
    area: Image.Image,
    timestep: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """(B, C, h, w): ``latents``, but inside ``area`` the picture's, with the noise of ``timestep``."""
    from diffusers.utils.torch_utils import randn_tensor
    from torch.nn import functional as F

    scheduler, processor = pipeline.scheduler, pipeline.mask_processor
    clean = latents_of(picture, pipeline).to(latents)
    noise = randn_tensor(clean.shape, generator=generator, device=latents.device, dtype=latents.dtype)
    inside = F.interpolate(processor.preprocess(area).to(latents), size=latents.shape[-2:])
    # The scheduler's prediction of the finished picture, from which the next step goes on.
    scheduler.model_outputs[-1] = scheduler.model_outputs[-1].lerp(
        clean.to(scheduler.model_outputs[-1]), inside
    )
    return latents.lerp(scheduler.add_noise(clean, noise, timestep), inside)
