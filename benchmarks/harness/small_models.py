"""A Stable Diffusion 1.x family of a few hundred thousand random weights, made on the spot.

It has the shapes and the folder layout of the real one (``model_index.json``, tokenizer, safetensors), so
everything that runs on it runs on SD 1.5; what it paints is noise.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_WIDTH = 32
_WORDS = (
    "photo person people woman man young adult old face standing sitting waving jumping running wearing "
    "street square beach mountain park castle the of and with red blue green sks"
)
_UNET = {
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),  # attention where it is cheap, at every size
    "cross_attention_dim": TEXT_WIDTH,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}


def make_small_family(folder: Path, *, vae: str = "kl", prediction_type: str = "epsilon") -> Path:
    """Writes ``inpaint`` (9 channels), ``text2img`` (4 channels) and ``controlnet`` into ``folder``.

    The inpainting UNet is the other one with a wider ``conv_in``, as SD 1.5's is. ``vae`` is "kl" or "tiny".
    """
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        tokenizer = make_tokenizer()
        shared = {
            "vae": make_vae(vae),
            "text_encoder": make_text_encoder(tokenizer),
            "tokenizer": tokenizer,
            "scheduler": make_scheduler(prediction_type),
            "safety_checker": None,
            "feature_extractor": None,
            "requires_safety_checker": False,
        }
        unet = make_unet(4)
        wide = widen(unet)
        controlnet = ControlNetModel(conditioning_embedding_out_channels=(8, 8, 16, 16), **_UNET)
        silent = [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]
        for layer in [*silent, controlnet.controlnet_cond_embedding.conv_out]:
            torch.nn.init.normal_(layer.weight, std=0.1)  # zero as in a fresh one, it would guide nothing
    folder = Path(folder)
    StableDiffusionPipeline(unet=unet, **shared).save_pretrained(folder / "text2img")
    StableDiffusionInpaintPipeline(unet=wide, **shared).save_pretrained(folder / "inpaint")
    controlnet.save_pretrained(folder / "controlnet")
    return folder


def make_tokenizer() -> CLIPTokenizer:
    """Spells with single letters, but knows a few words whole."""
    letters = sorted(ByteLevel.alphabet())
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in _WORDS.split():
        pieces = [*word[:-1], word[-1] + "</w>"]
        left = pieces[0]
        for right in pieces[1:]:
            if (left, right) not in merges:
                merges.append((left, right))
            left += right
            if left not in vocabulary:
                vocabulary.append(left)
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: index for index, token in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=ids, merges=merges, model_max_length=77)


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH * 2,
            num_hidden_layers=2,
            num_attention_heads=2,
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_unet(in_channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        in_channels=in_channels, sample_size=8, up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **_UNET
    )


def widen(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same UNet with five more input channels, for the mask and the masked picture's latents."""
    wide = make_unet(9)
    weights = unet.state_dict()
    weights["conv_in.weight"] = torch.cat(
        [weights["conv_in.weight"], 0.1 * wide.conv_in.weight[:, 4:].detach()], dim=1
    )
    wide.load_state_dict(weights)
    return wide


def make_vae(kind: str) -> AutoencoderKL | AutoencoderTiny:
    if kind == "kl":
        return AutoencoderKL(
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=4,
            sample_size=64,
        )
    return AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(0, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )


def make_scheduler(prediction_type: str) -> PNDMScheduler:
    return PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )


def make_safety_checker(folder: Path, *, refuses: bool) -> Path:
    """One that refuses every picture, or none: its thresholds lie below or above every cosine."""
    config = CLIPConfig(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 30,
            "patch_size": 10,
        },
        projection_dim=8,
    )
    checker = StableDiffusionSafetyChecker(config)
    for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        torch.nn.init.constant_(weights, -2.0 if refuses else 2.0)
    torch.nn.init.normal_(checker.concept_embeds)
    torch.nn.init.normal_(checker.special_care_embeds)
    checker.save_pretrained(folder / "safety_checker")
    size = {"height": 30, "width": 30}
    CLIPImageProcessor(size={"shortest_edge": 30}, crop_size=size).save_pretrained(
        folder / "feature_extractor"
    )
    return folder


def make_lora(unet_folder: Path, path: Path, rank: int = 4) -> Path:
    """A LoRA in kohya's format with random weights for the attention layers of a UNet."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(unet_folder))
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and "attentions" in name and ".attn" in name:
            key = "lora_unet_" + name.replace(".", "_")
            tensors[f"{key}.lora_down.weight"] = torch.randn(rank, module.in_features, generator=generator)
            tensors[f"{key}.lora_up.weight"] = torch.randn(module.out_features, rank, generator=generator)
            tensors[f"{key}.alpha"] = torch.tensor(float(rank))
    save_file(tensors, path)
    return path
