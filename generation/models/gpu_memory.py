"""The memory plan: which parts of a pipeline are in a GPU's memory while a step paints.

resident     All of it. The fastest.
offload      One network at a time (text encoder, UNet, VAE), the others in the machine's own memory.
sequential   Layer by layer, attention in slices and the VAE in tiles. Slow, and fits nearly everywhere.

MEMORY_PLAN names a plan. ``auto`` takes the first one for which the GPU has enough free memory. On a CPU, the
plan is ``resident``; with ``sequential``, a CPU also uses slices and tiles, but moves no layers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderTiny, DiffusionPipeline

from generation.models.profiles import ModelProfile

if TYPE_CHECKING:
    from generation.models.hardware import Hardware

# Memory of the activations, at two bytes a number and two samples (for guidance) a picture. The estimate is
# high: it is for the largest layers of a VAE's decoder, which need more than the UNet.
WORKING_MB_PER_MEGAPIXEL = 6000
log = logging.getLogger(__name__)


def needs_mb(pipeline: DiffusionPipeline, profile: ModelProfile) -> dict[str, float]:
    """The GPU memory that each plan needs, in MiB; 0 for ``sequential``, which is the last resort."""
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    sizes = [sum(t.numel() * t.element_size() for t in part.state_dict().values()) for part in networks]
    largest = max(profile.pixel_budget, profile.face_resolution**2 * profile.face_candidates)
    working = WORKING_MB_PER_MEGAPIXEL * largest / 1e6
    return {
        "resident": sum(sizes) / 2**20 + working,
        "offload": max(sizes) / 2**20 + working,
        "sequential": 0.0,
    }


def choose(needed_mb: dict[str, float], free_mb: float) -> str:
    """The first plan that fits."""
    return next(plan for plan, needed in needed_mb.items() if needed <= free_mb or plan == "sequential")


def place(pipeline: DiffusionPipeline, profile: ModelProfile, machine: Hardware) -> None:
    """Move the pipeline to the device, by the profile's memory plan."""
    plan, needed, on_cpu = profile.memory_plan, needs_mb(pipeline, profile), machine.device == "cpu"
    free = 0.0 if on_cpu else torch.cuda.mem_get_info()[0] / 2**20
    if plan == "auto":
        plan = "resident" if on_cpu else choose(needed, free)
    if on_cpu or plan == "resident":
        pipeline.to(machine.device)
    elif plan == "offload":
        pipeline.enable_model_cpu_offload(device=machine.device)
    else:
        pipeline.enable_sequential_cpu_offload(device=machine.device)
    if plan == "sequential":
        pipeline.enable_attention_slicing()
        pipeline.vae.enable_slicing()
        enable_tiling(pipeline)
    if not on_cpu:
        log.info("memory plan %s: resident needs %.0f MB of %.0f free", plan, needed["resident"], free)


def enable_tiling(pipeline: DiffusionPipeline) -> None:
    """Pictures pass the VAE in tiles, which tell its own factor between pixels and latents.

    ``AutoencoderTiny`` assumes 8, whatever its levels (diffusers 0.42).
    """
    vae = pipeline.vae
    if isinstance(vae, AutoencoderTiny):
        vae.spatial_scale_factor = pipeline.vae_scale_factor
        vae.tile_latent_min_size = vae.tile_sample_min_size // vae.spatial_scale_factor
    vae.enable_tiling()
