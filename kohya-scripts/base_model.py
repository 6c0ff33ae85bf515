"""The model that gets a LoRA: text encoder, VAE, UNet and noise schedule, from a folder in diffusers' layout.

Its own weights stay as they are.
"""

from __future__ import annotations

import dataclasses

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from reporting import TrainingError, first_line, log
from transformers import CLIPTextModel, CLIPTokenizer

DTYPES = {"no": torch.float32, "float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
VAE_CLASSES = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
SMALL = 32  # side of the latents up to which plain attention trains faster on a CPU than the fused one


@dataclasses.dataclass
class Model:
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    vae: AutoencoderKL | AutoencoderTiny
    unet: UNet2DConditionModel
    scheduler: DDPMScheduler
    device: torch.device
    dtype: torch.dtype  # of the model's weights and of the arithmetic; the LoRA's weights are float32

    @property
    def inpaints(self) -> bool:
        return self.unet.config.in_channels == 9

    @property
    def predicts_velocity(self) -> bool:
        return self.scheduler.config.prediction_type == "v_prediction"

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def choose_dtype(mixed_precision: str, device: torch.device) -> torch.dtype:
    """The asked one; float32 on a CPU without instructions for it, where half precision is very slow."""
    dtype = DTYPES[mixed_precision]
    if device.type != "cpu" or dtype == torch.float32:
        return dtype
    # The torch of requirements-xformers.txt doesn't tell.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    if dtype == torch.bfloat16 and any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16")):
        return dtype
    log("no GPU: training in float32, as half precision is very slow on this CPU")
    return torch.float32


def load_model(source: str, revision: str | None, device: torch.device, dtype: torch.dtype) -> Model:
    """``source`` is a folder or a Hub id. Raises TrainingError if it can't be read or can't be trained."""
    options = {"revision": revision}
    weights = {**options, "use_safetensors": True}
    try:
        vae_class = VAE_CLASSES[AutoencoderKL.load_config(source, subfolder="vae", **options)["_class_name"]]
        model = Model(
            tokenizer=CLIPTokenizer.from_pretrained(source, subfolder="tokenizer", **options),
            text_encoder=CLIPTextModel.from_pretrained(source, subfolder="text_encoder", **weights),
            vae=vae_class.from_pretrained(source, subfolder="vae", **weights),
            unet=UNet2DConditionModel.from_pretrained(source, subfolder="unet", **weights),
            scheduler=DDPMScheduler.from_pretrained(source, subfolder="scheduler", **options),
            device=device,
            dtype=dtype,
        )
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"can't read the model {source}: {first_line(error)}") from error
    channels, predicts = model.unet.config.in_channels, model.scheduler.config.prediction_type
    if channels not in (4, 9):
        raise TrainingError(f"a UNet of {channels} channels; only 4 and 9 can be trained")
    if predicts not in ("epsilon", "v_prediction"):
        raise TrainingError(f"prediction type {predicts} can't be trained")
    log(f"device {device}, {dtype}, UNet of {channels} channels, {predicts}")
    return model


def prepare(model: Model, gradient_checkpointing: bool, xformers: bool) -> None:
    """Freezes the weights, and moves them to where and how they are computed with."""
    model.vae.to(model.device, torch.float32).requires_grad_(False).eval()
    for part in (model.text_encoder, model.unet):
        # The libraries checkpoint in training mode only; the model has no dropout that the mode would change.
        part.to(model.device, model.dtype).requires_grad_(False).train(gradient_checkpointing)
    model.unet.to(memory_format=torch.channels_last)  # convolutions are a sixth faster, on a CPU too
    if model.device.type == "cpu" and model.unet.config.sample_size <= SMALL:
        model.unet.set_attn_processor(AttnProcessor())
    if gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
        model.text_encoder.gradient_checkpointing_enable({"use_reentrant": False})
    if xformers:
        model.unet.enable_xformers_memory_efficient_attention()
