"""A LoRA's training as diffusers' examples do it, with PEFT: ``python -m benchmarks.plain_lora MODEL STEPS``.

What ``benchmarks.gpu`` compares our trainer with: the same shapes, rank, layers, dtype and batch of one,
latents cached, AdamW. Prints JSON lines with "done" and "seconds", as the trainer does. It trains on noise.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDPMScheduler, UNet2DConditionModel
from peft import LoraConfig
from transformers import CLIPTextModel

UNET_LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
TEXT_LAYERS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def vae_factor(model: Path) -> int:
    """A side of a picture in units of its latents' side: 8 for Stable Diffusion, but not for every model."""
    config = AutoencoderTiny.load_config(model, subfolder="vae")
    return 2 ** (len(config["block_out_channels"]) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument(
        "--pixels", type=int, default=512, help="side of the pictures that the latents are of"
    )
    parser.add_argument("--rank", type=int, default=32)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = device == "cuda"  # as our trainer: float16 on a GPU, float32 on a CPU
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    dtype = torch.float16 if half else torch.float32
    unet = UNet2DConditionModel.from_pretrained(args.model, subfolder="unet", dtype=dtype)
    text_encoder = CLIPTextModel.from_pretrained(args.model, subfolder="text_encoder", dtype=dtype)
    schedule = DDPMScheduler.from_pretrained(args.model, subfolder="scheduler")
    for network, layers in ((unet, UNET_LAYERS), (text_encoder, TEXT_LAYERS)):
        network.requires_grad_(False).to(device)
        network.add_adapter(LoraConfig(r=args.rank, lora_alpha=args.rank // 2, target_modules=layers))
    trained = [p for network in (unet, text_encoder) for p in network.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer, scaler = torch.optim.AdamW(trained, lr=1e-4), torch.amp.GradScaler(device, enabled=half)
    side = args.pixels // vae_factor(args.model)
    latents = torch.randn(5, 4, side, side, device=device)
    extra = torch.zeros(1, unet.config.in_channels - 4, side, side, device=device)
    tokens = torch.ones(1, 77, dtype=torch.long, device=device)
    began = time.monotonic()
    for step in range(args.steps):
        clean = latents[step % 5][None]
        noise, t = torch.randn_like(clean), torch.randint(0, 1000, (1,), device=device)
        noisy = torch.cat([schedule.add_noise(clean, noise, t), extra], 1)
        with torch.autocast(device, dtype, enabled=half):
            words = text_encoder(tokens)[0]
            predicted = unet(noisy.to(dtype), t, words).sample.float()
        scaler.scale((predicted - noise).square().mean()).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        print(json.dumps({"done": step + 1, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main()
