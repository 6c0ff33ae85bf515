"""A LoRA learns a few pictures; read from top to bottom: pictures, latents, LoRA, loss, files, loop."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import logging
import math
import os
import random
import re
import resource
import shutil
import sys
import time
from pathlib import Path

import diffusers
import numpy
import torch
import torch.nn.functional as F
import transformers
from diffusers import AutoencoderKL, AutoencoderTiny, DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from options import VAE_FACTOR
from pictures import Picture, TrainingError, open_picture
from PIL import Image, ImageDraw, ImageOps
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

DTYPES = {"no": torch.float32, "float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
VAE_CLASSES = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
HOLES_PER_PICTURE = 8  # masks drawn per cached picture, for an inpainting UNet
SMALL = 32  # side of the latents up to which plain attention trains faster on a CPU than the fused one
OUTSIDE_WEIGHT = 0.1  # of the loss, where the inpainting UNet only has to copy
SECONDS_BETWEEN_PROGRESS = 0.5
METADATA_OPTIONS = (
    "network_module network_dim network_alpha learning_rate unet_lr text_encoder_lr lr_scheduler "
    "lr_warmup_steps max_train_steps gradient_checkpointing cache_latents mixed_precision max_grad_norm "
    "min_snr_gamma noise_offset output_name resolution enable_bucket bucket_no_upscale"
)


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- pictures as tensors --------------------------------------------------------------------------------


def load_pixels(picture: Picture, mode: str = "RGB") -> torch.Tensor:
    """(3, H, W) in -1..1, of the bucket's size: scaled to cover it, what juts out is cut off."""
    image = ImageOps.exif_transpose(open_picture(picture.path)).convert(mode)
    image = ImageOps.fit(image, picture.bucket, Image.Resampling.LANCZOS)
    return torch.from_numpy(numpy.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def load_alpha(picture: Picture) -> torch.Tensor:
    """(1, H/8, W/8) in 0..1: how much of a latent pixel is opaque, 1 in a picture that has no alpha."""
    alpha = load_pixels(picture, "RGBA")[3:] / 2 + 0.5
    return F.interpolate(alpha[None], scale_factor=1 / VAE_FACTOR, mode="area")[0]


def draw_hole(size: tuple[int, int], generator: random.Random) -> torch.Tensor:
    """(1, H, W), 1 where to paint: a box or ellipse where a portrait's face is, or sometimes everything.

    So large that the face has to be learned: of a face that juts out of the hole, the rest could be guessed.
    """
    width, height = size
    mask = Image.new("L", size, 0)
    kind = generator.choices(["box", "ellipse", "all"], weights=[3, 4, 1])[0]
    half_width, half_height = (generator.uniform(0.6, 1.0) / 2 * side for side in size)
    x, y = generator.uniform(0.4, 0.6) * width, generator.uniform(0.35, 0.6) * height
    box = (x - half_width, y - half_height, x + half_width, y + half_height)
    draw = ImageDraw.Draw(mask)
    if kind == "ellipse":
        draw.ellipse(box, fill=1)
    else:
        draw.rectangle(box if kind == "box" else (0, 0, *size), fill=1)
    return torch.from_numpy(numpy.array(mask)).float()[None]


def seed_for(seed: int, purpose: str, index: int) -> int:
    """Each step and each picture draws from a generator of its own, so that a resumed run draws what an
    unbroken one would have drawn, and no generator's state needs to be kept."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()[:7], "big")


def make_epoch(pictures: list[Picture], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of indices into ``pictures``: each as often as its repeats, one bucket per batch, shuffled."""
    generator = random.Random(seed_for(seed, "epoch", epoch))
    by_bucket: dict[tuple[int, int], list[int]] = {}
    for index, picture in enumerate(pictures):
        by_bucket.setdefault(picture.bucket, []).extend([index] * picture.repeats)
    batches = []
    for indices in by_bucket.values():
        generator.shuffle(indices)
        batches += [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
    generator.shuffle(batches)
    return batches


# --- model and latents ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Model:
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    vae: AutoencoderKL | AutoencoderTiny
    unet: UNet2DConditionModel
    scheduler: DDPMScheduler
    device: torch.device
    dtype: torch.dtype  # of the frozen weights and of the arithmetic; the LoRA's weights are float32

    @property
    def inpaints(self) -> bool:
        return self.unet.config.in_channels == 9

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def _fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16; without its own instructions that is slower than float32."""
    return any(torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16"))


def load_model(args: argparse.Namespace) -> Model:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = DTYPES[args.mixed_precision]
    if device.type == "cpu" and dtype != torch.float32 and not (dtype == torch.bfloat16 and _fast_bfloat16()):
        log("no GPU: training in float32, as half precision is very slow on this CPU")
        dtype = torch.float32
    source, options = args.pretrained_model_name_or_path, {"revision": args.revision}
    try:
        vae_class = VAE_CLASSES[AutoencoderKL.load_config(source, subfolder="vae", **options)["_class_name"]]
        weights = {**options, "use_safetensors": True}
        model = Model(
            tokenizer=CLIPTokenizer.from_pretrained(source, subfolder="tokenizer", **options),
            text_encoder=CLIPTextModel.from_pretrained(source, subfolder="text_encoder", **weights),
            vae=vae_class.from_pretrained(source, subfolder="vae", **weights).to(device, torch.float32),
            unet=UNet2DConditionModel.from_pretrained(source, subfolder="unet", **weights),
            scheduler=DDPMScheduler.from_pretrained(source, subfolder="scheduler", **options),
            device=device,
            dtype=dtype,
        )
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"can't read the model {source}: {first_line(error)}") from error
    for part in (model.text_encoder, model.unet):
        part.to(device, dtype).requires_grad_(False).train(args.gradient_checkpointing)
    model.unet.to(memory_format=torch.channels_last)  # convolutions are a sixth faster, on a CPU too
    if device.type == "cpu" and model.unet.config.sample_size <= SMALL:
        model.unet.set_attn_processor(AttnProcessor())
    model.vae.requires_grad_(False).eval()
    if model.unet.config.in_channels not in (4, 9):
        raise TrainingError(
            f"a UNet of {model.unet.config.in_channels} channels; only 4 and 9 can be trained"
        )
    if model.scheduler.config.prediction_type not in ("epsilon", "v_prediction"):
        raise TrainingError(f"prediction type {model.scheduler.config.prediction_type} can't be trained")
    if args.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
        model.text_encoder.gradient_checkpointing_enable({"use_reentrant": False})
    if args.xformers:
        model.unet.enable_xformers_memory_efficient_attention()
    log(
        f"device {device}, {dtype}, UNet of {model.unet.config.in_channels} channels, "
        f"{model.scheduler.config.prediction_type}"
    )
    return model


@dataclasses.dataclass
class Sample:
    """A picture as the UNet sees it: latents (4, H/8, W/8), mask (1, H/8, W/8)."""

    latents: torch.Tensor
    mask: torch.Tensor | None = None  # inpainting only: 1 where to paint
    masked_latents: torch.Tensor | None = None  # inpainting only: of the picture with grey in the hole
    opaque: torch.Tensor | None = None  # with --alpha_mask: (1, H/8, W/8), how much the loss counts


@torch.no_grad()
def encode(vae: nn.Module, pixels: torch.Tensor, seed: int) -> torch.Tensor:
    """(B, 3, H, W) in -1..1 to (B, 4, H/8, W/8) of about unit deviation."""
    encoded = vae.encode(pixels.to(vae.device))
    if isinstance(vae, AutoencoderTiny):
        latents = encoded.latents
    else:
        latents = encoded.latent_dist.sample(torch.Generator().manual_seed(seed))
    return latents * vae.config.scaling_factor


def make_samples(model: Model, picture: Picture, count: int, seed: int, alpha_mask: bool) -> list[Sample]:
    """One sample; of an inpainting UNet ``count``, each with another hole."""
    pixels = load_pixels(picture)
    latents = encode(model.vae, pixels[None], seed)[0]
    opaque = load_alpha(picture).to(model.device) if alpha_mask else None
    if not model.inpaints:
        return [Sample(latents, opaque=opaque)]
    generator = random.Random(seed)
    samples = []
    for _ in range(count):
        hole = draw_hole(picture.bucket, generator)
        masked_latents = encode(model.vae, (pixels * (1 - hole))[None], seed)[0]
        mask = F.interpolate(hole[None], size=latents.shape[-2:])[0].to(model.device)
        samples.append(Sample(latents, mask, masked_latents, opaque))
    return samples


class Samples:
    """Gives a picture's sample: drawn anew each time, or from a cache that is filled once."""

    def __init__(self, model: Model, pictures: list[Picture], args: argparse.Namespace, seed: int) -> None:
        self.model, self.pictures, self.alpha_mask, self.cache = model, pictures, args.alpha_mask, None
        if args.cache_latents:
            self.cache = [
                make_samples(
                    model, picture, HOLES_PER_PICTURE, seed_for(seed, "picture", index), args.alpha_mask
                )
                for index, picture in enumerate(pictures)
            ]
            model.vae.to("cpu")

    def get(self, index: int, seed: int) -> Sample:
        if self.cache is None:
            return make_samples(self.model, self.pictures[index], 1, seed, self.alpha_mask)[0]
        return random.Random(seed).choice(self.cache[index])


# --- LoRA -----------------------------------------------------------------------------------------------


class LoRALayer(nn.Module):
    """Adds alpha / dim * up(down(x)) to what a frozen layer gives. At first no change at all: up is zero."""

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


def attach_lora(model: Model, args: argparse.Namespace, seed: int) -> tuple[nn.ModuleDict, list[dict]]:
    """A LoRALayer on every linear layer and 1x1 convolution of the UNet's transformers and, if asked for, of
    the text encoder's attention and feed-forward parts. Returns them under kohya's names, so that their
    state_dict() has kohya's keys, and the optimizer's parameter groups."""
    torch.manual_seed(seed_for(seed, "lora", 0))
    parts = [("lora_unet", model.unet, {"Transformer2DModel"}, args.unet_lr)]
    if args.train_text_encoder:
        parts.append(("lora_te", model.text_encoder, {"CLIPAttention", "CLIPMLP"}, args.text_encoder_lr))
    network, groups = nn.ModuleDict(), []
    for prefix, part, classes, learning_rate in parts:
        layers = {}
        for name, layer in find_layers(part, classes):
            if prefix == "lora_te":  # newer transformers dropped a level that the file format keeps
                name = "text_model." + name.removeprefix("text_model.")
            layers[f"{prefix}.{name}".replace(".", "_")] = LoRALayer(
                layer, args.network_dim, args.network_alpha
            )
        if not layers:
            raise TrainingError(f"the model's {type(part).__name__} has no layer that a LoRA could go on")
        network.update(layers)
        parameters = [weight for layer in layers.values() for weight in layer.parameters()]
        groups.append({"params": parameters, "lr": learning_rate, "base_lr": learning_rate})
        log(f"LoRA on {len(layers)} layers of {type(part).__name__}, dim {args.network_dim}")
    return network.to(model.device), groups


def find_layers(part: nn.Module, classes: set[str]) -> list[tuple[str, nn.Module]]:
    return [
        (f"{outer_name}.{name}", layer)
        for outer_name, outer in part.named_modules()
        if type(outer).__name__ in classes
        for name, layer in outer.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1))
    ]


# --- loss -----------------------------------------------------------------------------------------------


class TextEmbeddings:
    """Captions to the UNet's (B, 77, width); kept if the text encoder isn't trained."""

    def __init__(self, model: Model, trained: bool) -> None:
        self.model, self.cache = model, None if trained else {}

    def get(self, captions: list[str]) -> torch.Tensor:
        if self.cache is None:
            return self.embed(captions)
        for caption in set(captions) - set(self.cache):
            with torch.no_grad():
                self.cache[caption] = self.embed([caption])
        return torch.cat([self.cache[caption] for caption in captions])

    def embed(self, captions: list[str]) -> torch.Tensor:
        tokenizer = self.model.tokenizer
        tokens = tokenizer(
            captions,
            padding="max_length",
            truncation=True,
            max_length=tokenizer.model_max_length,
            return_tensors="pt",
        )
        with self.model.autocast():
            return self.model.text_encoder(tokens.input_ids.to(self.model.device))[0]


def diffusion_loss(
    model: Model, samples: list[Sample], text: torch.Tensor, args: argparse.Namespace, seed: int
) -> torch.Tensor:
    """Mean squared error of what the UNet says of noised latents, weighted by min-SNR and by the hole."""
    generator = torch.Generator().manual_seed(seed)  # on the CPU: a seed means the same on every device
    latents = torch.stack([sample.latents for sample in samples])
    noise = torch.randn(latents.shape, generator=generator)
    if args.noise_offset:
        noise += args.noise_offset * torch.randn((len(samples), latents.shape[1], 1, 1), generator=generator)
    noise = noise.to(model.device)
    steps = model.scheduler.config.num_train_timesteps
    timesteps = torch.randint(0, steps, (len(samples),), generator=generator).to(model.device)
    noisy = model.scheduler.add_noise(latents, noise, timesteps)

    weight = torch.ones_like(latents[:, :1])
    if model.inpaints:
        mask = torch.stack([sample.mask for sample in samples])
        noisy = torch.cat([noisy, mask, torch.stack([sample.masked_latents for sample in samples])], dim=1)
        weight = mask + OUTSIDE_WEIGHT * (1 - mask)
    if args.alpha_mask:
        weight = weight * torch.stack([sample.opaque for sample in samples])

    with model.autocast():
        predicted = model.unet(noisy.to(model.dtype), timesteps, text.to(model.dtype)).sample.float()
    by_velocity = model.scheduler.config.prediction_type == "v_prediction"
    target = model.scheduler.get_velocity(latents, noise, timesteps) if by_velocity else noise
    area = weight.mean(dim=(1, 2, 3)).clamp(min=1e-6)  # of a picture that is all transparent
    error = ((predicted - target) ** 2 * weight).mean(dim=(1, 2, 3)) / area
    if args.min_snr_gamma:
        error = error * min_snr_weight(model.scheduler, timesteps, args.min_snr_gamma)
    if args.debiased_estimation_loss:
        error = error * debiased_weight(model.scheduler, timesteps)
    return error.mean()


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
    alphas = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    return alphas / (1 - alphas)


def learning_rate_factor(step: int, total: int, args: argparse.Namespace) -> float:
    """0..1, by which the learning rates are multiplied in step 0..total-1."""
    warmup = 0 if args.lr_scheduler == "constant" else args.lr_warmup_steps
    if step < warmup:
        return step / warmup
    if args.lr_scheduler != "cosine":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


# --- files ----------------------------------------------------------------------------------------------


def save(
    args: argparse.Namespace, name: str, done: int, epoch: int, seed: int, parts: dict, metadata: dict
) -> None:
    """The LoRA with kohya's keys and metadata, which WebUIs and diffusers' load_lora_weights read; with
    --save_state also what --resume needs. Written aside and renamed, so a file that exists is whole."""
    weights = {
        key: value.to("cpu", DTYPES[args.save_precision]).contiguous()
        for key, value in parts["network"].state_dict().items()
    }
    now = {"ss_steps": str(done), "ss_epoch": str(epoch), "ss_training_finished_at": str(time.time())}
    path = args.output_dir / f"{name}.safetensors"
    aside = path.with_name(path.name + ".part")
    save_file(weights, aside, metadata | now)
    put_in_place(aside, path)
    if args.save_state:
        folder = args.output_dir / f"{name}-state"
        folder.mkdir(exist_ok=True)
        state = {part_name: part.state_dict() for part_name, part in parts.items()}
        torch.save({**state, "step": done, "seed": seed}, folder / "state.part")
        put_in_place(folder / "state.part", folder / "state.pt")
        if args.save_last_n_steps_state:
            remove_old_states(args, done)
    log(f"saved {path}")


def put_in_place(aside: Path, path: Path) -> None:
    """Whole, even if the power goes: on the disk before it gets its name."""
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)


def remove_old_states(args: argparse.Namespace, done: int) -> None:
    for folder in args.output_dir.glob(f"{args.output_name}-step*-state"):
        if int(folder.name.split("-step")[-1].removesuffix("-state")) <= done - args.save_last_n_steps_state:
            shutil.rmtree(folder)


def load_state(folder: Path) -> dict:
    """Reads tensors and plain values only: a file made to run code is refused."""
    try:
        return torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    except Exception as error:  # a missing file, half a file, another file: torch has a type for each
        raise TrainingError(f"can't resume from {folder}: {first_line(error)}") from error


def restore(state: dict, parts: dict, args: argparse.Namespace) -> None:
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(f"{args.resume} is of another network: {first_line(error)}") from error


def make_metadata(
    args: argparse.Namespace, pictures: list[Picture], seed: int, batches: int
) -> dict[str, str]:
    """What kohya writes into each file, as far as it applies; strings, as safetensors wants them."""
    folders = {p.path.parent.name: {"n_repeats": p.repeats, "img_count": 0} for p in pictures}
    for picture in pictures:
        folders[picture.path.parent.name]["img_count"] += 1
    values = {name: getattr(args, name) for name in METADATA_OPTIONS.split()} | {
        "debiased_estimation": args.debiased_estimation_loss,
        "base_model_version": "sd_v1",
        "v2": False,
        "sd_model_name": Path(args.pretrained_model_name_or_path).name,
        "optimizer": "torch.optim.adamw.AdamW",
        "seed": seed,
        "num_train_images": sum(picture.repeats for picture in pictures),
        "num_batches_per_epoch": batches,
        "total_batch_size": args.train_batch_size,
        "dataset_dirs": json.dumps(folders),
        "training_started_at": time.time(),
    }
    return {f"ss_{name}": str(value) for name, value in values.items()}


@torch.no_grad()
def sample_pictures(model: Model, pictures: list[Picture], args: argparse.Namespace, step: int) -> None:
    """One PNG per line of --sample_prompts, with the LoRA as it is now. An inpainting UNet fills a hole in
    the first training picture."""
    folder = args.output_dir / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: getattr(model, name) for name in ("vae", "text_encoder", "tokenizer", "unet")}
    kind = diffusers.StableDiffusionInpaintPipeline if model.inpaints else diffusers.StableDiffusionPipeline
    pipeline = kind(
        **parts,
        scheduler=diffusers.DPMSolverMultistepScheduler.from_config(model.scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    vae_device = model.vae.device
    model.vae.to(model.device)
    lines = args.sample_prompts.read_text(encoding="utf-8").splitlines()
    for index, line in enumerate(line for line in lines if line.strip() and not line.startswith("#")):
        prompt, *options = re.split(r"\s--([nwhsld])\s+", " " + line.strip())
        asked = dict(zip(options[::2], options[1::2], strict=True))
        width, height = pictures[0].bucket if model.inpaints else args.resolution
        inputs = {"width": int(asked.get("w", width)), "height": int(asked.get("h", height))}
        if model.inpaints:
            inputs["image"] = load_pixels(pictures[0])[None]
            inputs["mask_image"] = draw_hole(pictures[0].bucket, random.Random(0))[None]
        with model.autocast():
            image = pipeline(
                prompt.strip(),
                negative_prompt=asked.get("n"),
                num_inference_steps=int(asked.get("s", 20)),
                guidance_scale=float(asked.get("l", 7.5)),
                generator=torch.Generator().manual_seed(int(asked.get("d", 0))),
                **inputs,
            ).images[0]
        path = folder / f"{args.output_name}_{step:06d}_{index:02d}.png"
        image.save(path.with_suffix(".part"), "PNG")
        path.with_suffix(".part").replace(path)  # somebody may be looking
    model.vae.to(vae_device)


# --- loop -----------------------------------------------------------------------------------------------


def train(args: argparse.Namespace, pictures: list[Picture], import_seconds: float) -> Path:
    """Returns the LoRA's path. Raises TrainingError."""
    report = Progress(import_seconds)
    state = load_state(args.resume) if args.resume else {}
    seed = choose_seed(args, state)
    model = load_model(args)
    network, groups = attach_lora(model, args, seed)
    optimizer = torch.optim.AdamW(groups)
    scaler = torch.amp.GradScaler(model.device.type, enabled=model.dtype == torch.float16)
    parts = {"network": network, "optimizer": optimizer, "scaler": scaler}
    if state:
        restore(state, parts, args)
    samples = Samples(model, pictures, args, seed)
    texts = TextEmbeddings(model, args.train_text_encoder)
    epoch_length = len(make_epoch(pictures, args.train_batch_size, seed, 0))
    total = args.max_train_epochs * epoch_length if args.max_train_epochs else args.max_train_steps
    first = state.get("step", 0)
    if first >= total:
        raise TrainingError(f"{args.resume} has done {first} of {total} steps already")
    metadata = make_metadata(args, pictures, seed, epoch_length)
    log(f"{len(pictures)} pictures, {epoch_length} batches an epoch, {total} steps, seed {seed}")
    args.output_dir.mkdir(parents=True, exist_ok=True)

    report.start(first, total)
    for step in range(first, total):
        epoch, position = divmod(step, epoch_length)
        if position == 0 or step == first:
            batches = make_epoch(pictures, args.train_batch_size, seed, epoch)
        step_seed = seed_for(seed, "step", step)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * learning_rate_factor(step, total, args)

        chosen = [samples.get(index, step_seed + place) for place, index in enumerate(batches[position])]
        text = texts.get([pictures[index].caption for index in batches[position]])
        loss = diffusion_loss(model, chosen, text, args, step_seed)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is {loss.item()} in step {step + 1}: lower the learning rate")
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        if args.max_grad_norm:
            nn.utils.clip_grad_norm_(network.parameters(), args.max_grad_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

        report(step + 1, loss.item())
        for name in names_to_save(step + 1, total, epoch_length, args):
            save(args, name, step + 1, epoch + 1, seed, parts, metadata)
        if args.sample_every_n_steps and (step + 1) % args.sample_every_n_steps == 0:
            sample_pictures(model, pictures, args, step + 1)
    report.end(seed)
    return args.output_dir / f"{args.output_name}.safetensors"


def choose_seed(args: argparse.Namespace, state: dict) -> int:
    """--seed, else that of the run which is resumed, else a drawn one."""
    if args.seed is None:
        return state.get("seed", random.SystemRandom().randrange(2**32))
    if state and args.seed != state["seed"]:
        raise TrainingError(f"--seed {args.seed}, but {args.resume} was trained with {state['seed']}")
    return args.seed


def names_to_save(done: int, total: int, epoch_length: int, args: argparse.Namespace) -> list[str]:
    """kohya's names of the files that are due after ``done`` steps."""
    if done == total:
        return [args.output_name]
    names = []
    if args.save_every_n_steps and done % args.save_every_n_steps == 0:
        names.append(f"{args.output_name}-step{done:08d}")
    if args.save_every_n_epochs and done % (args.save_every_n_epochs * epoch_length) == 0:
        names.append(f"{args.output_name}-{done // epoch_length:06d}")
    return names


class Progress:
    """JSON lines on stdout; the loss is smoothed over about 20 steps, seconds count from the first step."""

    def __init__(self, import_seconds: float) -> None:
        self.import_seconds, self.asked, self.loss, self.last = (
            import_seconds,
            time.monotonic(),
            None,
            -math.inf,
        )

    def start(self, first: int, total: int) -> None:
        self.total, self.started = total, time.monotonic()
        self(first)

    def __call__(self, done: int, loss: float | None = None) -> None:
        if loss is not None:
            self.loss = loss if self.loss is None else 0.95 * self.loss + 0.05 * loss
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_PROGRESS or done == self.total:
            self.last = now
            self.write(done=done, of=self.total, loss=self.loss, seconds=round(now - self.started, 1))

    def end(self, seed: int) -> None:
        """The last line: what the run took."""
        gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        self.write(
            pid=os.getpid(),
            import_seconds=round(self.import_seconds, 2),
            load_seconds=round(self.started - self.asked, 2),
            train_seconds=round(time.monotonic() - self.started, 2),
            peak_rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            peak_gpu_mb=round(gpu / 2**20),
            seed=seed,
        )

    @staticmethod
    def write(**values) -> None:
        print(json.dumps({"step": "train", **values}), flush=True)


def first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def run(args: argparse.Namespace, pictures: list[Picture], import_seconds: float) -> int:
    """Train; the exit status: 0, or 1 with the reason as stderr's last line."""
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        )
    try:
        train(args, pictures, import_seconds)
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
