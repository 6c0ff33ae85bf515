"""The photographs and captions as the UNet sees them: latents, masks, text embeddings; and their order."""

from __future__ import annotations

import dataclasses
import hashlib
import random

import numpy
import torch
import torch.nn.functional as F
from base_model import Model
from diffusers import AutoencoderKL, AutoencoderTiny
from pictures import Picture, open_picture
from PIL import Image, ImageDraw, ImageOps

HOLES_PER_PICTURE = 8  # masks drawn per cached picture, for an inpainting UNet


def seed_for(seed: int, purpose: str, index: int) -> int:
    """A seed for each step and each picture, below 2**56.

    With these, a resumed run draws the same random numbers as an unbroken one, and no generator's state needs
    to be saved.
    """
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


def load_pixels(picture: Picture, mode: str = "RGB") -> torch.Tensor:
    """(channels, H, W) in -1..1, of the bucket's size: scaled to cover it, and cropped."""
    image = ImageOps.exif_transpose(open_picture(picture.path)).convert(mode)
    image = ImageOps.fit(image, picture.bucket, Image.Resampling.LANCZOS)
    return torch.from_numpy(numpy.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def draw_hole(size: tuple[int, int], generator: random.Random) -> torch.Tensor:
    """(1, H, W), 1 where to paint: a box or ellipse where a portrait's face is, or sometimes everything.

    It is large, so that the face has to be learned: if parts of the face were visible outside the hole, the
    rest could be guessed from them.
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


@dataclasses.dataclass
class Sample:
    """A picture as the UNet sees it. h, w are the sides of the latents, which the VAE decides: H/8, W/8 for
    Stable Diffusion's."""

    latents: torch.Tensor  # (4, h, w)
    mask: torch.Tensor | None = None  # inpainting only: (1, h, w), 1 where to paint
    masked_latents: torch.Tensor | None = None  # inpainting only: of the picture with grey in the hole
    opaque: torch.Tensor | None = None  # with --alpha_mask: (1, h, w) in 0..1, how much the loss counts


@torch.no_grad()
def encode(vae: AutoencoderKL | AutoencoderTiny, pixels: torch.Tensor, seed: int) -> torch.Tensor:
    """(B, 3, H, W) in -1..1 to (B, 4, h, w) of about unit deviation."""
    encoded = vae.encode(pixels.to(vae.device))
    if isinstance(vae, AutoencoderTiny):
        latents = encoded.latents
    else:
        latents = encoded.latent_dist.sample(torch.Generator().manual_seed(seed))
    return latents * vae.config.scaling_factor


def make_samples(model: Model, picture: Picture, count: int, seed: int, alpha_mask: bool) -> list[Sample]:
    """One sample; for an inpainting UNet ``count``, each with another hole."""
    pixels = load_pixels(picture)
    latents = encode(model.vae, pixels[None], seed)[0]
    opaque = None
    if alpha_mask:
        alpha = load_pixels(picture, "RGBA")[3:] / 2 + 0.5
        opaque = F.interpolate(alpha[None], size=latents.shape[-2:], mode="area")[0].to(model.device)
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
    """The pictures' samples: made anew each time, or taken from a cache that is filled once."""

    def __init__(
        self, model: Model, pictures: list[Picture], seed: int, *, alpha_mask: bool, cached: bool
    ) -> None:
        self.model, self.pictures, self.alpha_mask = model, pictures, alpha_mask
        self.cache: list[list[Sample]] | None = None
        if cached:
            self.cache = [
                make_samples(model, picture, HOLES_PER_PICTURE, seed_for(seed, "picture", index), alpha_mask)
                for index, picture in enumerate(pictures)
            ]
            model.vae.to("cpu")

    def get(self, index: int, seed: int) -> Sample:
        if self.cache is None:
            return make_samples(self.model, self.pictures[index], 1, seed, self.alpha_mask)[0]
        return random.Random(seed).choice(self.cache[index])


class TextEmbeddings:
    """Captions to the UNet's (B, 77, width); kept if the text encoder isn't trained."""

    def __init__(self, model: Model, trained: bool) -> None:
        self.model = model
        self.cache: dict[str, torch.Tensor] | None = None if trained else {}

    def get(self, captions: list[str]) -> torch.Tensor:
        if self.cache is None:
            return self._embed(captions)
        for caption in set(captions) - set(self.cache):
            with torch.no_grad():
                self.cache[caption] = self._embed([caption])
        return torch.cat([self.cache[caption] for caption in captions])

    def _embed(self, captions: list[str]) -> torch.Tensor:
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
