"""Uses of a pipeline's VAE outside a pipeline: latents, a copy of a picture, a preview of an unfinished one.

torch and diffusers are imported inside the functions, because a step's process measures how long this import
takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline


def vae_copy(picture: Image.Image, pipeline: DiffusionPipeline) -> Image.Image:
    """The picture encoded and decoded again: what a step of strength 0 would paint.

    Encoding and decoding blur a picture a little. With low strength (detail, harmonize), the step adds less
    detail than the blur removes. So the difference between the step's result and this copy, which has the
    same blur, is added to the old picture (``compositing.add_change``). With high strength (pose, face),
    there is little old detail to save.
    """
    return _decoded(latents_of(picture, pipeline), pipeline)


def latents_of(picture: Image.Image, pipeline: DiffusionPipeline) -> torch.Tensor:
    """(1, C, h, w): the picture as the UNet knows it, on the pipeline's device. ``picture`` is RGB."""
    import torch
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents

    vae = pipeline.vae
    with torch.no_grad():
        pixels = pipeline.image_processor.preprocess(picture).to(pipeline._execution_device, vae.dtype)
        return vae.config.scaling_factor * retrieve_latents(vae.encode(pixels), sample_mode="argmax")


def predicted_picture(pipeline: DiffusionPipeline) -> Image.Image:
    """The scheduler's prediction of the finished picture, after the denoising step that has just ended."""
    return _decoded(pipeline.scheduler.model_outputs[-1], pipeline)


def _decoded(latents: torch.Tensor, pipeline: DiffusionPipeline) -> Image.Image:
    import torch

    vae = pipeline.vae
    with torch.no_grad():
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    return pipeline.image_processor.postprocess(pixels, output_type="pil")[0]
