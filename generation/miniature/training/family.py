"""The miniature's architectures: a Stable Diffusion family like 1.5, about a hundredth of its size.

All parts are plain diffusers or transformers classes, so their files load with ``from_pretrained``.
"""

from __future__ import annotations

import math

from diffusers import AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from generation.miniature.training.latents import LATENT_CHANNELS, VAE_FACTOR

TEXT_WIDTH = 96
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,  # else noise is read as colours that nobody asked for (Lin et al. 2024)
}
_BLOCKS = {
    "block_out_channels": (48, 64, 128, 192),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "cross_attention_dim": TEXT_WIDTH,
    "attention_head_dim": 4,  # the number of heads, as in SD 1.5's configuration
    "norm_num_groups": 16,
}


def build_vae() -> AutoencoderTiny:
    """Pictures with sides in multiples of ``VAE_FACTOR`` to latents of 4 channels, and back.

    Latents of a quarter of the picture's sides keep lips, buttons and outlines; an eighth does not.
    ``AutoencoderTiny`` has no norms and no attention, so crops and whole pictures look the same to it.
    Widths are multiples of 16, which vector instructions and tensor cores need to be fast.
    """
    width, levels = 48, 1 + int(math.log2(VAE_FACTOR))
    return AutoencoderTiny(
        encoder_block_out_channels=(width,) * levels,
        decoder_block_out_channels=(width,) * levels,
        num_encoder_blocks=(0, 2, 4),
        num_decoder_blocks=(6, 2, 0),
        latent_channels=LATENT_CHANNELS,
    )


def build_unet(in_channels: int = 9) -> UNet2DConditionModel:
    """9 channels: noisy latents, mask, latents of the masked picture. 4 channels: noisy latents alone.

    Besides cross attention, the pooled text is added to the time embedding, as in DeepFloyd IF: words that
    hold for the whole picture (age, gender, colours) then reach every block, and are learned far sooner.
    """
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        time_embedding_dim=256,  # as wide as it was when the first level had 64 channels
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        **_BLOCKS,
    )


def build_controlnet() -> ControlNetModel:
    """Reads an OpenPose skeleton picture; its four input channels take the noisy latents."""
    return ControlNetModel(
        in_channels=LATENT_CHANNELS,
        conditioning_embedding_out_channels=(8, 16, 32),  # three entries: a factor of 4
        **_BLOCKS,
    )


def build_text_encoder(vocabulary: int, start: int, end: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH * 4,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=TEXT_WIDTH,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
        )
    )
