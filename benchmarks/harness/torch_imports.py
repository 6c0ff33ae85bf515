"""Imports what the trainer imports. A process that has done so can be forked: see ``forked_script``."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # else numpy's import starts threads, which no fork has

import diffusers.optimization
import peft
import transformers
from diffusers import AutoencoderKL, AutoencoderTiny, DDPMScheduler, DiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

__all__ = [
    "AutoencoderKL",
    "AutoencoderTiny",
    "CLIPTextModel",
    "CLIPTokenizer",
    "DDPMScheduler",
    "DiffusionPipeline",
    "UNet2DConditionModel",
    "diffusers",
    "peft",
    "transformers",
]
