"""Trains UNet, ControlNet and text encoder: ``python -m generation.miniature.training.train_unet W``.

One UNet of nine channels learns three things, in every batch:
- *pose*: the person into the hole of a scene, the ControlNet reading the skeleton;
- *face*: the head into the hole of a close-up, without the ControlNet;
- *plain*: whole scenes with the five extra channels zero, so that the first four channels of ``conv_in``
  are a four-channel UNet, the one that the detail and harmonize steps use.
v-prediction; an error of the picture counts SNR + 0.5, at most 5 (20 for *plain*): min-SNR weights (Hang et
al. 2023) and a part of it for the noisiest steps, where pose and colours are decided. Inside the hole the
loss counts 1, on the head of a whole person 3, outside 0.1.
Resumable: run it again. ``TRAINING.md`` tells the rest.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel, compute_snr
from PIL import Image
from transformers import CLIPTokenizer

from generation.miniature.training import captions, family, samples
from generation.miniature.training.checkpoints import load_checkpoint, log, restart_safe_save, start
from generation.miniature.world import people, scenes
from generation.models import hardware

POSE, FACE, PLAIN = 11, 11, 2  # samples of each kind in a batch of 24
BATCH = POSE + FACE + PLAIN
EMA = {"decay": 0.998, "use_ema_warmup": True, "inv_gamma": 1.0, "power": 0.75, "foreach": True}
MIN_WEIGHT, MAX_WEIGHT, MAX_PLAIN_WEIGHT = 0.5, 5.0, 20.0  # of an error of the picture itself
HEAD_WEIGHT = 3.0
PLAIN_TIMESTEPS = 400  # of 1000: the steps that use it start from half a picture or more


class Trainee:
    """The three networks that learn, with their optimizer and moving average."""

    def __init__(self, work: Path, learning_rate: float, dtype: torch.dtype = torch.float32):
        self.dtype = dtype  # of the products; weights stay float32
        captions.write_tokenizer(work / "tokenizer")
        self.tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
        self.unet, self.controlnet = family.build_unet(), family.build_controlnet()
        silent = [*self.controlnet.controlnet_down_blocks, self.controlnet.controlnet_mid_block]
        for layer in [*silent, self.controlnet.controlnet_cond_embedding.conv_out]:
            torch.nn.init.normal_(layer.weight, std=0.03)  # zero protects a pretrained UNet; here is none
        self.text_encoder = family.build_text_encoder(
            len(self.tokenizer), self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        )
        self.networks = torch.nn.ModuleDict(
            {"unet": self.unet, "controlnet": self.controlnet, "text_encoder": self.text_encoder}
        )
        torch.nn.init.constant_(self.unet.add_embedding.norm2.weight, 0.2)  # a whisper, beside the time's
        for network in (self.unet, self.controlnet):  # its backward on a CPU is faster than the fused one's
            network.set_attn_processor(AttnProcessor())
        self.networks.to(memory_format=torch.channels_last)
        parameters = self.networks.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=1e-2, fused=True)
        self.ema = EMAModel(self.networks.parameters(), **EMA)

    def load_weights(self, weights: Path) -> None:
        """Begin from exported weights with a new optimizer, as one must after changing the loss.

        Words that the exported tokenizer didn't know begin with what this one drew for them.
        """
        known = CLIPTokenizer.from_pretrained(weights / "inpaint/tokenizer").get_vocab()
        for network, folder in (
            (self.unet, "inpaint/unet"),
            (self.controlnet, "controlnet"),
            (self.text_encoder, "inpaint/text_encoder"),
        ):
            loaded = type(network).from_pretrained(weights / folder, dtype=torch.float32).state_dict()
            for name, words in loaded.items():
                if name.endswith("token_embedding.weight"):
                    rows = network.state_dict()[name].clone()
                    for word, row in self.tokenizer.get_vocab().items():
                        if word in known:
                            rows[row] = words[known[word]]
                    loaded[name] = rows
            network.load_state_dict(network.state_dict() | loaded)  # what is new keeps its first values
        self.ema = EMAModel(self.networks.parameters(), **EMA)

    def parts(self) -> dict:
        return {"networks": self.networks, "optimizer": self.optimizer, "ema": self.ema}

    def embed(self, texts: list[str]) -> torch.Tensor:
        """(B, 77, TEXT_WIDTH)."""
        tokens = self.tokenizer(
            texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        )
        return self.text_encoder(tokens.input_ids)[0]

    def predict(self, noisy, extra, timesteps, words, skeletons):
        """v for all samples. The first ``len(skeletons)`` of them go through the ControlNet too."""
        posed = len(skeletons)
        down, middle = self.controlnet(
            noisy[:posed], timesteps[:posed], encoder_hidden_states=words[:posed], controlnet_cond=skeletons,
            return_dict=False,
        )  # fmt: skip
        rest = len(noisy) - posed
        down = [torch.cat([d, d.new_zeros(rest, *d.shape[1:])]) for d in down]
        middle = torch.cat([middle, middle.new_zeros(rest, *middle.shape[1:])])
        return self.unet(
            torch.cat([noisy, extra], 1), timesteps, words, down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample  # fmt: skip


def learning_rate(step: int, steps: int, top: float) -> float:
    """Warm-up over 200 steps, level, then a straight fall to nothing over the second half of ``steps``.

    The level part lets a run that is going on be ended sooner or later than planned, by another ``--steps``
    when it is resumed; half a cosine would have to be known from the start.
    """
    return top * min(1.0, (step + 1) / 200, 2 * (steps - step) / steps)


def spread_timesteps(count: int, generator: torch.Generator) -> torch.Tensor:
    """(count,) integers of 0..999, one in each of ``count`` equal parts, in any order.

    Less noise in the loss of a small batch (Kingma et al. 2021, "low-discrepancy sampler").
    """
    places = torch.randperm(count, generator=generator) + torch.rand(1, generator=generator)
    return (places / count * 1000).long()


def training_step(trainee: Trainee, cache: samples.Cache, noise_schedule, step: int) -> torch.Tensor:
    """The loss of the batch of this step, which follows from the step's number alone."""
    rng = random.Random(f"batch {step}")
    faces = [k for k in (rng.randrange(cache.count) for _ in range(400)) if samples.is_face(k)][:FACE]
    wholes = [k for k in (rng.randrange(cache.count) for _ in range(400)) if not samples.is_face(k)][
        : POSE + PLAIN
    ]
    order = wholes[:POSE] + faces + wholes[POSE:]
    latents, holed, holes = cache.batch(order)
    texts = ["" if rng.random() < 0.1 else samples.caption(k, rng) for k in order]
    skeletons = torch.stack([samples.skeleton_picture(samples.sample_scene(k)) for k in order[:POSE]])
    skeletons[[k for k in range(POSE) if rng.random() < 0.05]] = 0

    generator = torch.Generator().manual_seed(step)
    noise = torch.randn(latents.shape, generator=generator)
    timesteps = torch.cat([spread_timesteps(kind, generator) for kind in (POSE, FACE, PLAIN)])
    timesteps[-PLAIN:] = timesteps[-PLAIN:] * PLAIN_TIMESTEPS // 1000
    noisy = noise_schedule.add_noise(latents, noise, timesteps)
    extra = torch.cat([holes, holed], 1)
    extra[-PLAIN:] = 0
    weight = holes + 0.1 * (1 - holes)
    for k in range(POSE):
        weight[k, :, *samples.head_window(order[k])] *= HEAD_WEIGHT
    weight[-PLAIN:] = 0.5

    with torch.autocast("cpu", torch.bfloat16, enabled=trainee.dtype == torch.bfloat16):
        predicted = trainee.predict(noisy, extra, timesteps, trainee.embed(texts), skeletons).float()
    target = noise_schedule.get_velocity(latents, noise, timesteps)
    snr = compute_snr(noise_schedule, timesteps)
    most = torch.full_like(snr, MAX_WEIGHT)
    most[-PLAIN:] = MAX_PLAIN_WEIGHT
    by_noise = torch.minimum(snr + MIN_WEIGHT, most) / (snr + 1)
    error = ((predicted - target).square() * weight).mean((1, 2, 3)) / weight.mean((1, 2, 3))
    return (error * by_noise).mean()


@torch.no_grad()
def draw_samples(trainee: Trainee, vae, path: Path, count: int = 8, guidance: float = 3.0) -> None:
    """A sheet of held-out requests: asked, painted with the skeleton, and a face in its close-up."""
    scheduler = DPMSolverMultistepScheduler(**family.SCHEDULER)
    rows = []
    for close in (False, True):
        asked, holed, holes, texts, bones = [], [], [], [], []
        for k in range(count):
            scene = scenes.random_scene(scenes.HELD_OUT + k, people.random_person(scenes.HELD_OUT + k))
            rng = random.Random(k)
            view = samples.close_up_view(scene, 0.5) if close else scenes.View()
            picture = np.asarray(scenes.draw_scene(scene, view))
            hole = np.asarray(scenes.face_mask(scene, view) if close else scenes.subject_mask(scene)) > 127
            asked.append(picture)
            holed.append(np.where(hole[..., None], np.uint8(127), picture))
            holes.append(hole[::8, ::8])
            texts.append((captions.face_caption if close else captions.scene_caption)(scene, rng))
            bones.append(samples.skeleton_picture(scene))
        pictures = torch.from_numpy(np.stack(holed)).permute(0, 3, 1, 2).float() / 127.5 - 1
        extra = torch.cat(
            [torch.from_numpy(np.stack(holes))[:, None].float(), vae.encode(pictures).latents], 1
        )
        words = trainee.embed([""] * count + texts)
        latents = torch.randn(
            count, 4, samples.LATENT, samples.LATENT, generator=torch.Generator().manual_seed(5)
        )
        scheduler.set_timesteps(16)
        for t in scheduler.timesteps:
            double = torch.cat([latents] * 2)
            skeletons = torch.stack(bones * 2)[: 0 if close else None]
            moment = t.repeat(2 * count)
            if close:
                v = trainee.unet(torch.cat([double, torch.cat([extra] * 2)], 1), moment, words).sample
            else:
                v = trainee.predict(double, torch.cat([extra] * 2), moment, words, skeletons)
            without, with_words = v.chunk(2)
            latents = scheduler.step(without + guidance * (with_words - without), t, latents).prev_sample
        painted = vae.decode(latents).sample.clamp(-1, 1).add(1).mul(127.5).permute(0, 2, 3, 1).byte().numpy()
        rows += [np.concatenate(asked, 1), np.concatenate(list(painted), 1)]
    Image.fromarray(np.concatenate(rows)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder in which train_vae has finished")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--save-seconds", type=float, default=120, help="between checkpoints")
    parser.add_argument("--weights", type=Path, help="exported weights to begin from, without a checkpoint")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the products (measured)")
    args = parser.parse_args()
    start(args.work)
    if args.weights and not (args.work / "vae.pt").exists():
        vae = AutoencoderTiny.from_pretrained(args.weights / "inpaint/vae", dtype=torch.float32)
        restart_safe_save(args.work / "vae.pt", 0, vae=vae)
    vae = family.build_vae().requires_grad_(False).to(memory_format=torch.channels_last)
    if load_checkpoint(args.work / "vae.pt", vae=vae) is None:
        raise SystemExit(
            f"{args.work}/vae.pt is not there: run generation.miniature.training.train_vae first"
        )
    dtype = getattr(torch, args.dtype) if args.dtype else hardware.fast_cpu_dtype()
    log(f"products in {dtype}, sums and weights in float32")
    cache = samples.Cache(args.work, args.samples)
    cache.fill(vae, dtype)
    trainee = Trainee(args.work, args.learning_rate, dtype)
    noise_schedule = DDPMScheduler(**family.SCHEDULER)
    checkpoint = args.work / "unet.pt"
    if args.weights and not checkpoint.exists():
        trainee.load_weights(args.weights)
    step = load_checkpoint(checkpoint, **trainee.parts()) or 0
    begun, running, saved = time.time(), None, time.time()
    while step < args.steps:
        for group in trainee.optimizer.param_groups:
            group["lr"] = learning_rate(step, args.steps, args.learning_rate)
        loss = training_step(trainee, cache, noise_schedule, step)
        trainee.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainee.networks.parameters(), 1.0)
        trainee.optimizer.step()
        trainee.ema.step(trainee.networks.parameters())
        step += 1
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            pace = (time.time() - begun) / 50
            log(f"unet step {step} of {args.steps}  loss {running:.4f}  {pace:.2f} s a step")
            begun = time.time()
        if time.time() - saved > args.save_seconds or step == args.steps:
            restart_safe_save(checkpoint, step, **trainee.parts())
            saved = time.time()
        if step % 300 == 0 or step == args.steps:
            trainee.ema.store(trainee.networks.parameters())
            trainee.ema.copy_to(trainee.networks.parameters())
            draw_samples(trainee, vae, args.work / f"samples-{step:06d}.png")
            trainee.ema.restore(trainee.networks.parameters())
            begun = time.time()


if __name__ == "__main__":
    main()
