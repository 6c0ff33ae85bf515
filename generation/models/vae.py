"""Two uses of a pipeline's VAE outside a pipeline: a copy of a picture, and a preview of an unfinished one.

torch and diffusers are imported inside the functions, because a step's process measures how long this import
takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


def vae_copy(picture: Image.Image, pipeline: DiffusionPipeline) -> Image.Image:
    """The picture encoded and decoded again: what a step of strength 0 would paint.

    Encoding and decoding blur a picture a little. With low strength (detail, harmonize), the step adds less
    detail than the blur removes. So the difference between the step's result and this copy, which has the
    same blur, is added to the old picture (``compositing.add_change``). With high strength (pose, face),
    there is little old detail to save.
    """
    import torch
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents

    vae, processor = pipeline.vae, pipeline.image_processor
    with torch.no_grad():
        pixels = processor.preprocess(picture).to(pipeline._execution_device, vae.dtype)
        latents = retrieve_latents(vae.encode(pixels), sample_mode="argmax")
        return processor.postprocess(vae.decode(latents, return_dict=False)[0], output_type="pil")[0]


def predicted_picture(pipeline: DiffusionPipeline) -> Image.Image:
    """The scheduler's prediction of the finished picture, after the denoising step that has just ended."""
    import torch

    latents = pipeline.scheduler.model_outputs[-1].to(pipeline.vae.dtype)
    with torch.no_grad():
        decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    return pipeline.image_processor.postprocess(decoded, output_type="pil")[0]
