"""The options of train_network.py: kohya's names, meanings and defaults."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

FLAG = "store_true"


def parse_arguments(description: str, argv: list[str] | None = None) -> argparse.Namespace:
    """The options, with kohya's defaults. Some of these suit no training (learning rate, alpha): set them.

    Ends the process with status 2 and the reason on stderr if an option is wrong or unknown.
    """
    parser = argparse.ArgumentParser(prog="train_network.py", description=description, allow_abbrev=False)
    add_model_and_files(parser.add_argument)
    add_pictures(parser.add_argument)
    add_training(parser.add_argument)
    add_precision_and_speed(parser.add_argument)
    args = parser.parse_args(argv)
    args.unet_lr = args.learning_rate if args.unet_lr is None else args.unet_lr
    args.text_encoder_lr = args.learning_rate if args.text_encoder_lr is None else args.text_encoder_lr
    args.train_text_encoder = not args.network_train_unet_only and args.text_encoder_lr > 0
    if args.sample_every_n_steps and not args.sample_prompts:
        parser.error("--sample_every_n_steps needs --sample_prompts")
    return args


def add_model_and_files(add: Callable) -> None:
    add("--pretrained_model_name_or_path", required=True, help="folder in diffusers' layout, or Hub id")
    add("--revision", help="of the model on the Hub")
    add("--output_dir", type=Path, required=True)
    add("--output_name", default="last")
    add("--save_model_as", choices=["safetensors"], default="safetensors")
    add("--save_precision", choices=["float", "fp16", "bf16"], default="float")
    add("--save_every_n_steps", type=positive_int, help="writes <output_name>-step00000250.safetensors")
    add("--save_every_n_epochs", type=positive_int, help="writes <output_name>-000001.safetensors")
    add("--save_state", action=FLAG, help="with each file, a folder that --resume goes on from")
    add("--save_last_n_steps_state", type=positive_int, help="only the folders of the last n steps are kept")
    add("--resume", type=Path, help="such a folder")
    add("--sample_prompts", type=Path, help="a prompt per line; --n --w --h --s --l --d as in kohya's")
    add("--sample_every_n_steps", type=positive_int, help="writes output_dir/sample/*.png")


def add_pictures(add: Callable) -> None:
    add("--train_data_dir", type=Path, required=True, help="holds folders named <repeats>_<class tokens>")
    add("--caption_extension", default=".caption", help="of the caption file beside each picture")
    add("--resolution", type=resolution, required=True, help="W,H or one number for a square")
    add("--enable_bucket", action=FLAG, help="keep aspect ratios: sizes of about the resolution's area")
    add("--bucket_no_upscale", action=FLAG, help="never enlarge a picture to fill its bucket")
    add("--bucket_reso_steps", type=multiple_of_8, default=64)
    add("--min_bucket_reso", type=positive_int, default=256, help="ignored with --bucket_no_upscale")
    add("--max_bucket_reso", type=positive_int, default=1024, help="ignored with --bucket_no_upscale")
    add("--alpha_mask", action=FLAG, help="the loss counts where a picture is opaque")
    add("--cache_latents", action=FLAG, help="run the VAE once, not at every step")


def add_training(add: Callable) -> None:
    add("--network_module", choices=["networks.lora"], required=True)
    add("--network_dim", type=positive_int, default=4, help="rank")
    add("--network_alpha", type=positive_float, default=1.0, help="the LoRA is scaled by alpha / dim")
    unet_only = "leave the text encoder as it is; so does --text_encoder_lr 0"
    add("--network_train_unet_only", action=FLAG, help=unet_only)
    add("--train_batch_size", type=positive_int, default=1)
    add("--max_train_steps", type=positive_int, default=1600)
    add("--max_train_epochs", type=positive_int, help="goes before --max_train_steps")
    add("--learning_rate", type=float, default=2e-6)
    add("--unet_lr", type=float, help="default: --learning_rate")
    add("--text_encoder_lr", type=float, help="default: --learning_rate")
    add("--lr_scheduler", choices=["constant", "constant_with_warmup", "cosine"], default="constant")
    add("--lr_warmup_steps", type=int, default=0)
    add("--optimizer_type", choices=["AdamW"], default="AdamW")
    add("--max_grad_norm", type=float, default=1.0, help="0: gradients are not clipped")
    add("--min_snr_gamma", type=positive_float, help="5 is usual")
    debiased = "the noisiest steps count more (Yu et al. 2023)"
    add("--debiased_estimation_loss", action=FLAG, help=debiased)
    add("--noise_offset", type=float, default=0.0)
    add("--seed", type=int, help="default: drawn, and written to the file's metadata")


def add_precision_and_speed(add: Callable) -> None:
    add("--mixed_precision", choices=["no", "fp16", "bf16"], default="no")
    add("--gradient_checkpointing", action=FLAG, help="less memory, more time")
    add("--sdpa", action=FLAG, help="PyTorch's own attention (so is the default)")
    add("--xformers", action=FLAG, help="xformers' attention")


def positive_int(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def positive_float(text: str) -> float:
    if not 0 < (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def multiple_of_8(text: str) -> int:
    """A picture's side in pixels: in Stable Diffusion a latent stands for 8, in other models for 4."""
    if (value := positive_int(text)) % 8:
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of 8")
    return value


def resolution(text: str) -> tuple[int, int]:
    """Pixels: "512,768" is width and height, "512" a square."""
    sides = [multiple_of_8(part) for part in text.split(",")]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"{text} is neither W,H nor a number")
    return sides[0], sides[-1]
