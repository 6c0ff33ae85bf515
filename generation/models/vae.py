"""A pipeline's VAE outside of a step: what it alone does to a picture, and a picture that isn't finished yet.

torch and diffusers are imported where they are used: a step's process counts the seconds that it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


def vae_copy(picture: Image.Image, pipeline: DiffusionPipeline) -> Image.Image:
    """The picture encoded and decoded again, which is what a step of strength 0 would paint.

    The VAE blurs a little each time. After a step of weak noise (detail, harmonize), the picture would lose
    more to that blur than the step mends. So of its result only the difference to this copy is added to the
    picture (``compositing.add_change``). After strong noise (pose, face) there is little old detail to save.
    """
    import torch
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents

    vae, processor = pipeline.vae, pipeline.image_processor
    with torch.no_grad():
        pixels = processor.preprocess(picture).to(pipeline._execution_device, vae.dtype)
        latents = retrieve_latents(vae.encode(pixels), sample_mode="argmax")
        return processor.postprocess(vae.decode(latents, return_dict=False)[0], output_type="pil")[0]


def predicted_picture(pipeline: DiffusionPipeline) -> Image.Image:
    """The finished picture as the scheduler predicts it from the latents of the denoising step just done."""
    import torch

    latents = pipeline.scheduler.model_outputs[-1].to(pipeline.vae.dtype)
    with torch.no_grad():
        decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    return pipeline.image_processor.postprocess(decoded, output_type="pil")[0]
