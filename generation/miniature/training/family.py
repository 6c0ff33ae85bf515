"""The miniature's architectures: a Stable Diffusion family like 1.5, about a hundredth its size.

Everything is a plain diffusers or transformers class, so the files load with ``from_pretrained``.
"""

from __future__ import annotations

from diffusers import AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

LATENT_CHANNELS = 4
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
    "block_out_channels": (64, 128, 192),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "cross_attention_dim": TEXT_WIDTH,
    "attention_head_dim": 4,  # heads, as in SD 1.5's configuration
    "norm_num_groups": 16,
}


def build_vae() -> AutoencoderTiny:
    """Pictures of any size in multiples of 8 to 4 channels of an eighth of the size, and back."""
    return AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(24, 24, 24, 24),
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 3, 3, 1),
        latent_channels=LATENT_CHANNELS,
    )


def build_unet(in_channels: int = 9) -> UNet2DConditionModel:
    """9 channels: noisy latents, mask, latents of the masked picture. 4 channels: noisy latents alone.

    Beside cross attention, the words pooled are added to the time's embedding, as in DeepFloyd IF: what holds
    for the whole picture (who, which colour) then reaches every block, and is learned far sooner.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        **_BLOCKS,
    )


def build_controlnet() -> ControlNetModel:
    """Reads an OpenPose picture; its four-channel input takes the noisy latents."""
    return ControlNetModel(
        in_channels=LATENT_CHANNELS, conditioning_embedding_out_channels=(8, 16, 32, 64), **_BLOCKS
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
