#!/usr/bin/env python3
"""Train a LoRA of a Stable Diffusion 1.x shaped model on a few photographs.

Command line, folder rule, file format and metadata are those of kohya's train_network.py, for the options
in options.py; an option that isn't there is an error. The model is a folder in diffusers' layout or a Hub id.
A UNet of 4 channels learns the pictures; a UNet of 9 channels (inpainting) learns to fill holes in them.

Progress is one JSON object per line on stdout, at most two a second; everything else goes to stderr. The
exit status is 0, or 1 with the reason on stderr's last line, or 2 for wrong options. Nothing here knows of
jobs, servers or databases.

This file holds the training: the LoRA's layers, the loss, the loop. Beside it: options.py (the options),
pictures.py (the folder of photographs), base_model.py (the model to train), samples.py (photographs as the
UNet sees them), checkpoints.py (the files written), metadata.py (what they say about themselves),
sample_pictures.py (pictures painted on the way), reporting.py (what is printed).
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import random
import sys
import time

from options import parse_arguments
from pictures import Picture, find_pictures
from reporting import Progress, TrainingError, first_line, log

# Wrong options or photographs are refused here, before the imports below, which take seconds.
if __name__ == "__main__":
    args = parse_arguments(__doc__.splitlines()[0])
    try:
        pictures = find_pictures(args)
    except TrainingError as error:
        sys.exit(f"error: {error}")
    import_started = time.monotonic()

import diffusers
import torch
import transformers
from base_model import Model, choose_dtype, load_model, prepare
from checkpoints import Checkpoints, load_state, restore
from diffusers import DDPMScheduler
from diffusers.optimization import get_scheduler
from sample_pictures import paint_samples, read_prompts
from samples import Sample, Samples, TextEmbeddings, make_epoch, seed_for
from torch import nn

# kohya's prefix of a layer's name, and the classes whose layers get a LoRA: attention and feed-forward parts
LORA_UNET = "lora_unet", {"Transformer2DModel"}
LORA_TEXT_ENCODER = "lora_te", {"CLIPAttention", "CLIPMLP"}
OUTSIDE_WEIGHT = 0.1  # of the loss, where the inpainting UNet only has to copy


# --- LoRA -----------------------------------------------------------------------------------------------


class LoRALayer(nn.Module):
    """Adds alpha / dim * up(down(x)) to a frozen layer's output. At first that changes nothing: up is zero.

    Hu et al. 2021, https://arxiv.org/abs/2106.09685. The names of the weights are kohya's. PEFT's layers
    compute the same, but its export to kohya's format writes the rank as alpha and the text encoder's keys as
    Stable Diffusion XL's.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, dim: int, alpha: float) -> None:
        super().__init__()
        if isinstance(layer, nn.Linear):
            self.lora_down = nn.Linear(layer.in_features, dim, bias=False)
            self.lora_up = nn.Linear(dim, layer.out_features, bias=False)
        else:
            self.lora_down = nn.Conv2d(layer.in_channels, dim, 1, bias=False)
            self.lora_up = nn.Conv2d(dim, layer.out_channels, 1, bias=False)
        nn.init.kaiming_uniform_(self.lora_down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_up.weight)
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.scale = alpha / dim
        self.frozen_forward = layer.forward
        layer.forward = self.forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.frozen_forward(x) + self.lora_up(self.lora_down(x)) * self.scale


def attach_lora(model: Model, dim: int, alpha: float, text_encoder: bool, seed: int) -> nn.ModuleDict:
    """A LoRALayer on every linear layer and 1x1 convolution of the UNet's transformers and, if asked for, of
    the text encoder's attention and feed-forward parts. The LoRALayers are returned under kohya's names, so
    that ``state_dict()`` has kohya's keys."""
    torch.manual_seed(seed_for(seed, "lora", 0))
    network = nn.ModuleDict()
    parts = [(model.unet, LORA_UNET)] + [(model.text_encoder, LORA_TEXT_ENCODER)] * text_encoder
    for part, (prefix, classes) in parts:
        layers = find_layers(part, classes)
        if not layers:
            raise TrainingError(f"the model's {type(part).__name__} has no layer that a LoRA could go on")
        for name, layer in layers:
            if part is model.text_encoder:  # newer transformers dropped a level that the file format keeps
                name = "text_model." + name.removeprefix("text_model.")
            network[f"{prefix}.{name}".replace(".", "_")] = LoRALayer(layer, dim, alpha)
        log(f"LoRA on {len(layers)} layers of {type(part).__name__}, dim {dim}")
    return network.to(model.device)


def find_layers(part: nn.Module, classes: set[str]) -> list[tuple[str, nn.Module]]:
    return [
        (f"{outer_name}.{name}", layer)
        for outer_name, outer in part.named_modules()
        if type(outer).__name__ in classes
        for name, layer in outer.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1))
    ]


def parameter_groups(network: nn.ModuleDict, unet_lr: float, text_encoder_lr: float) -> list[dict]:
    """For the optimizer: the UNet's weights, then the text encoder's if it is trained, with a rate each."""
    groups = []
    for (prefix, _), rate in ((LORA_UNET, unet_lr), (LORA_TEXT_ENCODER, text_encoder_lr)):
        weights = [weight for name, weight in network.named_parameters() if name.startswith(prefix)]
        if weights:
            groups.append({"params": weights, "lr": rate, "base_lr": rate})
    return groups


# --- loss -----------------------------------------------------------------------------------------------


def denoising_errors(
    model: Model, samples: list[Sample], text: torch.Tensor, seed: int, noise_offset: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noises the samples' latents and lets the UNet predict the noise, or the velocity.

    Returns each sample's mean squared error, (B,), and the timestep it was noised to, (B,).
    """
    generator = torch.Generator().manual_seed(seed)  # on the CPU: a seed means the same on every device
    latents = torch.stack([sample.latents for sample in samples])
    noise = torch.randn(latents.shape, generator=generator)
    if noise_offset:
        noise += noise_offset * torch.randn((len(samples), latents.shape[1], 1, 1), generator=generator)
    noise = noise.to(model.device)
    steps = model.scheduler.config.num_train_timesteps
    timesteps = torch.randint(0, steps, (len(samples),), generator=generator).to(model.device)
    noisy = model.scheduler.add_noise(latents, noise, timesteps)

    weight = torch.ones_like(latents[:, :1])
    if model.inpaints:
        mask = torch.stack([sample.mask for sample in samples])
        noisy = torch.cat([noisy, mask, torch.stack([sample.masked_latents for sample in samples])], dim=1)
        weight = mask + OUTSIDE_WEIGHT * (1 - mask)
    if samples[0].opaque is not None:
        weight = weight * torch.stack([sample.opaque for sample in samples])

    with model.autocast():
        predicted = model.unet(noisy.to(model.dtype), timesteps, text.to(model.dtype)).sample.float()
    target = model.scheduler.get_velocity(latents, noise, timesteps) if model.predicts_velocity else noise
    area = weight.mean(dim=(1, 2, 3)).clamp(min=1e-6)  # of a picture that is all transparent
    return ((predicted - target) ** 2 * weight).mean(dim=(1, 2, 3)) / area, timesteps


def weigh(
    errors: torch.Tensor, timesteps: torch.Tensor, scheduler: DDPMScheduler, args: argparse.Namespace
) -> torch.Tensor:
    """(B,): how much the error at a noise level counts, as the options say."""
    if args.min_snr_gamma:
        errors = errors * min_snr_weight(scheduler, timesteps, args.min_snr_gamma)
    if args.debiased_estimation_loss:
        errors = errors * debiased_weight(scheduler, timesteps)
    return errors


def min_snr_weight(scheduler: DDPMScheduler, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Hang et al. 2023, https://arxiv.org/abs/2303.09556: min(SNR, gamma), over SNR for epsilon, over SNR + 1
    for v."""
    snr = signal_to_noise(scheduler, timesteps)
    return snr.clamp(max=gamma) / (snr + (scheduler.config.prediction_type == "v_prediction"))


def debiased_weight(scheduler: DDPMScheduler, timesteps: torch.Tensor) -> torch.Tensor:
    """Yu et al. 2023, https://arxiv.org/abs/2310.08442, as kohya has it: 1 / sqrt(SNR) for epsilon, SNR up to
    1000; for v 1 / (SNR + 1), by which an error of the picture counts the same at every noise level."""
    snr = signal_to_noise(scheduler, timesteps).clamp(max=1000)
    return 1 / (snr + 1) if scheduler.config.prediction_type == "v_prediction" else snr.rsqrt()


def signal_to_noise(scheduler: DDPMScheduler, timesteps: torch.Tensor) -> torch.Tensor:
    """diffusers' ``compute_snr`` takes detours by square roots, and so rounds differently."""
    alphas = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    return alphas / (1 - alphas)


# --- loop -----------------------------------------------------------------------------------------------


def train(args: argparse.Namespace, pictures: list[Picture], progress: Progress) -> None:
    """Writes the LoRA, and its checkpoints on the way, into ``args.output_dir``. Raises TrainingError."""
    state = load_state(args.resume) if args.resume else {}
    first = state.get("step", 0)
    seed = choose_seed(args, state)
    epoch_length = len(make_epoch(pictures, args.train_batch_size, seed, 0))
    total = count_steps(args, epoch_length, first)
    log(f"{len(pictures)} pictures, {epoch_length} batches an epoch, {total} steps, seed {seed}")

    model = model_for(args)
    network = attach_lora(model, args.network_dim, args.network_alpha, args.train_text_encoder, seed)
    optimizer = torch.optim.AdamW(parameter_groups(network, args.unet_lr, args.text_encoder_lr))
    scaler = torch.amp.GradScaler(model.device.type, enabled=model.dtype == torch.float16)
    trained = {"network": network, "optimizer": optimizer, "scaler": scaler}
    if state:
        restore(state, trained, args.resume)
    schedule = make_schedule(args, optimizer, first, total)
    samples = Samples(model, pictures, seed, alpha_mask=args.alpha_mask, cached=args.cache_latents)
    texts = TextEmbeddings(model, trained=args.train_text_encoder)
    prompts = read_prompts(args.sample_prompts) if args.sample_every_n_steps else []
    checkpoints = Checkpoints(args, model, trained, pictures, seed, epoch_length, total)

    progress.start(first, total)
    for step in range(first, total):
        epoch, position = divmod(step, epoch_length)
        batch = make_epoch(pictures, args.train_batch_size, seed, epoch)[position]
        step_seed = seed_for(seed, "step", step)
        chosen = [samples.get(index, step_seed + place) for place, index in enumerate(batch)]
        text = texts.get([pictures[index].caption for index in batch])
        errors, timesteps = denoising_errors(model, chosen, text, step_seed, args.noise_offset)
        loss = weigh(errors, timesteps, model.scheduler, args).mean()
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is {loss.item()} in step {step + 1}: lower the learning rate")

        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        if args.max_grad_norm:
            nn.utils.clip_grad_norm_(network.parameters(), args.max_grad_norm)
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)

        progress.step(step + 1, loss.item())
        checkpoints.save_due(step + 1)
        if prompts and (step + 1) % args.sample_every_n_steps == 0:
            name = f"{args.output_name}_{step + 1:06d}"
            paint_samples(model, prompts, args.resolution, pictures[0], args.output_dir / "sample", name)
    progress.end(seed, torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)


def choose_seed(args: argparse.Namespace, state: dict) -> int:
    """--seed, else the seed of the run that is resumed, else a random one."""
    if args.seed is None:
        return state.get("seed", random.SystemRandom().randrange(2**32))
    if state and args.seed != state["seed"]:
        raise TrainingError(f"--seed {args.seed}, but {args.resume} was trained with {state['seed']}")
    return args.seed


def count_steps(args: argparse.Namespace, epoch_length: int, first: int) -> int:
    """All steps of the training, those before ``first`` included. Raises TrainingError if none is left."""
    total = args.max_train_epochs * epoch_length if args.max_train_epochs else args.max_train_steps
    if first >= total:
        raise TrainingError(f"{args.resume} has done {first} of {total} steps already")
    return total


def model_for(args: argparse.Namespace) -> Model:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = choose_dtype(args.mixed_precision, device)
    model = load_model(args.pretrained_model_name_or_path, args.revision, device, dtype)
    prepare(model, args.gradient_checkpointing, args.xformers)
    return model


def make_schedule(
    args: argparse.Namespace, optimizer: torch.optim.Optimizer, first: int, total: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """--lr_scheduler over ``total`` steps, from step ``first`` on, which is all that a resumed run needs."""
    for group in optimizer.param_groups:
        group["initial_lr"] = group["base_lr"]
    return get_scheduler(
        args.lr_scheduler,
        optimizer,
        num_warmup_steps=args.lr_warmup_steps,
        num_training_steps=total,
        last_epoch=first - 1,
    )


def main(args: argparse.Namespace, pictures: list[Picture], progress: Progress) -> int:
    """Train; the exit status: 0, or 1 with the reason as stderr's last line."""
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if "OMP_NUM_THREADS" not in os.environ:
        available = hasattr(os, "sched_getaffinity")
        torch.set_num_threads(len(os.sched_getaffinity(0)) if available else os.cpu_count())
    try:
        train(args, pictures, progress)
    except TrainingError as error:
        log(f"error: {error}")
        return 1
    except torch.OutOfMemoryError:
        log("error: the GPU has too little memory: lower --resolution or use --gradient_checkpointing")
        return 1
    except Exception as error:
        logging.exception("the training broke off")
        log(f"error: {type(error).__name__}: {first_line(error)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(args, pictures, Progress(import_started)))
