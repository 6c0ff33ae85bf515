"""Stable Diffusion 1.5's family with random weights: ``python -m benchmarks.sd15_shaped FOLDER``.

The published configurations, file names, dtype and sizes; only the numbers inside the tensors are drawn from
a seed, so everything but the picture is as with the real weights: loading, memory, speed, LoRA files.
7.1 GB of disk. In the folder lie ``inpaint``, ``controlnet``, ``detail``, ``training``, to be named by
INPAINT_MODEL, CONTROLNET_MODEL, DETAIL_MODEL and TRAINING_MODEL.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import string
import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ControlNetModel, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from generation.miniature.training.captions import write_tokenizer_files
from generation.models.profiles import SD15

# From the config.json files of stable-diffusion-v1-5/stable-diffusion-v1-5 and -inpainting (unet, vae,
# text_encoder, scheduler) and of lllyasviel/control_v11p_sd15_openpose, less what is a class's default.
_ATTENTION_BLOCKS = {
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
_UP_BLOCKS = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
_TEXT_ENCODER = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}
_SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
_WORDS = (
    "photo face of person sks a an the and in with at on to young adult old man woman wearing standing "
    "sitting waving jumping running arms raised red blue green white black shirt coat dress sunny street "
    "square beach mountain park castle church"
)


def build_unet(in_channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        in_channels=in_channels, sample_size=64, up_block_types=_UP_BLOCKS, **_ATTENTION_BLOCKS
    )


BUILDERS = {
    "unet": lambda: build_unet(4),
    "inpainting unet": lambda: build_unet(9),
    "vae": lambda: AutoencoderKL(**_VAE),
    "text encoder": lambda: CLIPTextModel(CLIPTextConfig(**_TEXT_ENCODER)),
    "controlnet": lambda: ControlNetModel(
        conditioning_embedding_out_channels=(16, 32, 96, 256), **_ATTENTION_BLOCKS
    ),
}


def shaped(name: str) -> nn.Module:
    """One of ``BUILDERS`` on torch's meta device: shapes, and no memory."""
    with torch.device("meta"):
        return BUILDERS[name]()


def random_weights(network: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """float16, each scaled so that what passes through keeps its size and nothing overflows."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, like in network.state_dict().items():
        if like.ndim < 2:
            value = torch.ones if name.endswith("weight") else torch.zeros  # norms; biases
            weights[name] = value(like.shape, dtype=torch.float16)
        else:
            spread = 0.02 if "embedding" in name else 0.6 * like[0].numel() ** -0.5
            drawn = torch.empty(like.shape, dtype=torch.float16)
            weights[name] = drawn.normal_(0, spread, generator=generator)
    return weights


def published_name(network: nn.Module, name: str) -> str:
    """Of a tensor, in the published file; newer transformers dropped a level from the text encoder's."""
    return f"text_model.{name}" if isinstance(network, CLIPTextModel) else name


def write_network(network: nn.Module, folder: Path, variant: str | None, seed: int) -> None:
    folder.mkdir(parents=True)
    stem = "model" if isinstance(network, CLIPTextModel) else "diffusion_pytorch_model"
    file = folder / f"{stem}{f'.{variant}' if variant else ''}.safetensors"
    weights = {published_name(network, name): w for name, w in random_weights(network, seed).items()}
    save_file(weights, file, {"format": "pt"})
    if isinstance(network, CLIPTextModel):
        network.config.architectures = [type(network).__name__]
        network.config.save_pretrained(folder)
    else:
        network.save_config(folder)


def write_tokenizer(folder: Path) -> None:
    """As many tokens as CLIP has: bytes, a few words, then syllables of two to four letters."""
    letters = sorted(ByteLevel.alphabet())
    vocabulary = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters)])
    merges = []

    def merge(left: str, right: str) -> None:
        if left + right not in vocabulary and len(vocabulary) < _TEXT_ENCODER["vocab_size"] - 2:
            merges.append((left, right))
            vocabulary[left + right] = None

    style = f"{SD15.style.prefix} {SD15.style.quality} {SD15.style.negative} {_WORDS}"
    for word in re.findall("[a-z]+", style.lower()):
        pieces = [*word[:-1], word[-1] + "</w>"]
        for k in range(1, len(pieces)):
            merge("".join(pieces[:k]), pieces[k])
    for length in (2, 3, 4):
        for syllable in itertools.product(string.ascii_lowercase, repeat=length):
            start = "".join(syllable[:-1])
            merge(start, syllable[-1])
            merge(start, syllable[-1] + "</w>")
    write_tokenizer_files(folder, [*vocabulary], merges)


def write_pipeline(folder: Path, unet: str, variant: str | None, seed: int) -> None:
    """A folder with all parts of a pipeline; no two folders' weights are the same."""
    inpaints = unet == "inpainting unet"
    index = {
        "_class_name": "StableDiffusionInpaintPipeline" if inpaints else "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    folder.mkdir(parents=True)
    for number, (part, name) in enumerate(
        {"unet": unet, "vae": "vae", "text_encoder": "text encoder"}.items()
    ):
        write_network(shaped(name), folder / part, variant, seed + number)
    write_tokenizer(folder / "tokenizer")
    PNDMScheduler(**_SCHEDULER).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))


def write_family(folder: Path) -> dict[str, str]:
    """Whatever of the family isn't there yet; a folder gets its name when it is whole. Returns the variables
    with which the ``sd15`` profile uses it."""
    folder.mkdir(parents=True, exist_ok=True)
    writers = {
        "inpaint": lambda to: write_pipeline(to, "inpainting unet", SD15.inpaint_model.variant, 100),
        "detail": lambda to: write_pipeline(to, "unet", SD15.detail_model.variant, 200),
        "training": lambda to: write_pipeline(to, "unet", SD15.training_model.variant, 300),
        "controlnet": lambda to: write_network(shaped("controlnet"), to, SD15.controlnet_model.variant, 400),
    }
    for name, write in writers.items():
        if (folder / name).exists():
            continue
        began, aside = time.monotonic(), folder / f"{name}.part"
        if aside.exists():
            raise SystemExit(f"{aside} is of a run that was cut off: remove it")
        write(aside)
        aside.rename(folder / name)
        size = sum(path.stat().st_size for path in (folder / name).rglob("*") if path.is_file())
        print(f"{name}: {size / 1e9:.2f} GB in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    places = {f"{name.upper()}_MODEL": str(folder.resolve() / name) for name in writers}
    return {"MODEL_PROFILE": "sd15", "SAFETY_CHECK": "off", **places}  # random weights paint noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print("\n".join(f"{name}={value}" for name, value in write_family(folder).items()))


if __name__ == "__main__":
    main()
