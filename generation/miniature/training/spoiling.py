"""What the restoration network learns from: heads as the miniature paints them, and as drawn.

A sample begins with a drawing. Its hair, beard, glasses and features are in part another person's. Parts of
it are bent, faded or mixed with another head. Noise is added, and the UNet paints it again in a few denoising
steps. So the painting is smeared as a real one is, and the drawing under it is known.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import torch
from torch.nn import functional as F

from generation.miniature import detectors, restoration
from generation.miniature.training import captions, samples, train_unet
from generation.miniature.training.device import Device
from generation.miniature.training.latents import VAE_FACTOR
from generation.miniature.training.train_looks import looks_of
from generation.miniature.training.trainee import Trainee
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import View
from generation.miniature.world.people import Person
from generation.models.profiles import MINIATURE
from generation.vision.looks import PLAIN
from generation.vision.visitor import UNKNOWN, Visitor

DENOISING_STEPS = 3
LOW, HIGH, LOWER = (150, 520), (400, 999), 0.65  # timesteps to begin at, and the share of the lower ones
PAINTED = 0.6  # share of a chunk that the UNet paints; the others are blurred only
LIKE_HAIR = 0.25  # share of the places that are moved to the hair's colour
OTHER_LOOKS, NO_MARKS, UNKNOWN_PERSON, UNKNOWN_FACE = 0.7, 0.5, 0.1, 0.15  # shares
OTHER_FEATURES, OLD_MEN = 0.7, 0.15  # shares
FEATURES = (
    "face_width", "jaw", "eye_size", "eye_spacing", "iris", "brow_weight", "brow_tilt", "nose_length",
    "nose_width", "mouth_width", "lips", "hair_volume",
)  # fmt: skip
PHOTOS = 2  # of the person, whose embeddings are told; visitors send five


def draw(index: int) -> dict:
    """The surroundings of a head's mask, as ``picture.restoring`` crops them, 256 x 256.

    ``picture`` and ``place``, (256, 256, 3) uint8; ``alpha``, ``head``, ``weight`` and ``hole``, (256, 256)
    uint8; ``other`` and ``other_alpha``, the same with other looks and features; ``skeleton``,
    (3, 256, 256) uint8; ``caption``; ``told``, as ``restoration.told``; ``coarse``, the crop's enlargement.
    """
    rng = random.Random(f"restoration {index}")
    scene = samples.scene_of("face", index)
    scene = dataclasses.replace(scene, person=with_more_marks(scene.person, rng))
    hole = samples.head_hole(scene, View(), rng)
    close_up = samples.close_up_of(hole, MINIATURE)
    view = samples.view_of(close_up)
    other = dataclasses.replace(scene, person=mispainted(scene.person, rng))
    visitor = visitor_of(scene.person, rng) if rng.random() >= UNKNOWN_PERSON else UNKNOWN
    subject, head = (np.asarray(drawn(scene, view)) for drawn in (scenes.silhouette, scenes.head_silhouette))
    return {
        "index": np.asarray(index),
        "coarse": np.asarray(view.scale, np.float32),
        "picture": np.asarray(scenes.draw_scene(scene, view)),
        "place": np.asarray(close_up.enlarge(scenes.draw_background(scene))),
        "alpha": subject,
        "other": np.asarray(scenes.draw_scene(other, view)),
        "other_alpha": np.asarray(scenes.silhouette(other, view)),
        "told": restoration.told(visitor).numpy(),
        "head": head,
        "weight": head_weight(subject, head),
        "hole": np.asarray(close_up.enlarge(hole)),
        "skeleton": samples.skeleton_picture(scene, close_up),
        "caption": captions.face_caption(scene, rng) if rng.random() >= train_unet.NO_CAPTION else "",
    }


def head_weight(subject: np.ndarray, head: np.ndarray) -> np.ndarray:
    """(H, W) uint8: how much an error counts in each pixel, in tenths."""
    weight = np.where(subject > 127, 15, 5)
    weight[head > 127] = 30
    return weight.astype(np.uint8)


def visitor_of(person: Person, rng: random.Random) -> Visitor:
    """The person's looks, and the embeddings of the faces found in ``PHOTOS`` portraits of them elsewhere."""
    found: list[np.ndarray] = []
    for _ in range(PHOTOS if rng.random() >= UNKNOWN_FACE else 0):
        scene = scenes.random_scene(rng.randrange(samples.SEEDS), person, "CLS")
        portrait = scenes.draw_scene(scene, samples.close_up_view(scene, rng.uniform(0.4, 0.6)))
        found += [detectors.embed_face(portrait, face) for face in detectors.find_faces(portrait)[:1]]
    looks = looks_of(person)
    if not found and rng.random() < 0.5:  # so is it where no visitor is painted
        looks = {name: looks.get(name, word) for name, word in PLAIN.items()}
    return Visitor(found, looks)


def with_more_marks(person: Person, rng: random.Random) -> Person:
    """The person, with glasses and freckles in half of the samples, or an old man. Of the men with beards,
    half have only a moustache. All these are rarer in the world, and must not be learned last."""
    if rng.random() < OLD_MEN:
        person = people.random_person(rng.randrange(samples.SEEDS), "old", "man")
    bearded = person.gender == "man" and person.age != "young" and rng.random() < 0.85
    return dataclasses.replace(
        person,
        beard=rng.uniform(0.2, 0.8) if bearded else 0.0,
        glasses=rng.random() if rng.random() < 0.5 else 0.0,
        freckles=rng.random() if rng.random() < 0.5 else 0.0,
    )


def mispainted(person: Person, rng: random.Random) -> Person:
    """The person, mostly with some of another one's hair, beard and glasses, or with no beard and glasses.
    Mostly, the features are moved towards the other one's."""
    other = people.random_person(rng.randrange(samples.SEEDS), person.age, person.gender)
    changed: dict[str, float | str] = {}
    if rng.random() < OTHER_FEATURES:
        most = rng.random()
        for name in FEATURES:
            own, share = getattr(person, name), most * rng.random()
            changed[name] = own + share * (getattr(other, name) - own)
    if rng.random() < OTHER_LOOKS:
        for names in (("hair_style", "hair_volume"), ("beard",), ("glasses",)):
            if rng.random() < 0.5:
                changed |= {name: getattr(other, name) for name in names}
    if rng.random() < NO_MARKS:
        changed |= {"beard": 0.0, "glasses": 0.0}
    return dataclasses.replace(person, **changed)


def field(count: int, channels: int, grain: int, side: int, device: Device) -> torch.Tensor:
    """(count, channels, side, side): smooth noise of deviation 1 or less, ``grain`` in pixels."""
    coarse = torch.randn(count, channels, side // grain + 2, side // grain + 2, device=device.type)
    return F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)


def bent(pictures: torch.Tensor, pixels: torch.Tensor, device: Device) -> torch.Tensor:
    """(B, C, H, W) with each place moved by some ``pixels``, (B,), in patches of different sizes."""
    count, _, side, _ = pictures.shape
    moved = field(count, 2, 16, side, device) + 1.5 * field(count, 2, 48, side, device)
    axis = torch.linspace(-1 + 1 / side, 1 - 1 / side, side, device=device.type)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    moved = moved.permute(0, 2, 3, 1) * (2 / side) * pixels[:, None, None, None]
    return F.grid_sample(pictures, grid + moved, mode="bilinear", padding_mode="border", align_corners=False)


def patches(count: int, share: torch.Tensor, side: int, device: Device) -> torch.Tensor:
    """(count, 1, side, side), 0..1: patches that cover about ``share`` (count,), with soft edges."""
    noise = field(count, 1, 24, side, device) + field(count, 1, 64, side, device)
    limit = 1.3 * (1 - 2 * share[:, None, None, None])
    return ((noise - limit) * 2).clamp(0, 1)


def spoilt(
    picture: torch.Tensor, place: torch.Tensor, alpha: torch.Tensor, device: Device, mixed: float = 0.3
) -> torch.Tensor:
    """(B, 3, H, W) in -1..1: the subject bent, faded in patches, blurred, or mixed with another one, which
    happens to the share ``mixed`` of the samples."""
    count, _, side, _ = picture.shape

    def some(share: float) -> torch.Tensor:
        return (torch.rand(count, device=device.type) < share).float() * torch.rand(count, device=device.type)

    wrong = bent(picture, 3.0 * some(0.7), device)
    soft = F.interpolate(F.avg_pool2d(wrong, 16), size=(side, side), mode="bilinear")
    other = bent(picture.roll(1, 0), 2 * some(1.0), device)
    for filling, share in ((soft, 0.3), (place, 0.3), (other, mixed)):
        cover = patches(count, 0.4 * some(share), side, device)
        wrong = wrong.lerp(filling, cover * torch.rand(count, 1, 1, 1, device=device.type).sqrt())
    return place.lerp(wrong, F.max_pool2d(alpha, 13, 1, 6))


def like_hair(picture: torch.Tensor, place: torch.Tensor, head: torch.Tensor, device: Device) -> torch.Tensor:
    """The places, some of them with their colours moved near those of the upper edge of the head."""
    rows = torch.arange(head.shape[2], device=device.type)[None, None, :, None].float()
    top = torch.where(head > 0.9, rows, 1e4).amin((2, 3), keepdim=True)
    upper = ((head > 0.9) & (rows < top + 12)).float()
    count = upper.sum((2, 3), keepdim=True).clamp(min=1)
    hair, behind = ((one * upper).sum((2, 3), keepdim=True) / count for one in (picture, place))
    chosen = (torch.rand(len(picture), 1, 1, 1, device=device.type) < LIKE_HAIR) & (count > 1)
    noise = 0.1 * torch.randn(len(picture), 3, 1, 1, device=device.type)
    return torch.where(chosen, (place + hair - behind + noise).clamp(-1, 1), place)


def enlarged(picture: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Pictures as they are after they were shrunk by ``times`` (B,), rounded up to a half, and enlarged."""
    found = picture.clone()
    for value in ((times * 2).ceil() / 2).unique().tolist():
        if value > 1:
            these = ((times * 2).ceil() / 2) == value
            small = F.interpolate(picture[these], scale_factor=1 / value, mode="area")
            found[these] = F.interpolate(small, size=picture.shape[-2:], mode="bicubic").clamp(-1, 1)
    return found


def stored(picture: torch.Tensor) -> torch.Tensor:
    """-1..1 as uint8."""
    return picture.clamp(-1, 1).add(1).mul(127.5).round().byte()


class Samples:
    """Makes rows of a ring out of drawn chunks, with the trained VAE and UNet."""

    def __init__(self, vae, trainee: Trainee):
        self.vae, self.trainee, self.device = vae, trainee, trainee.device
        self.schedule = train_unet.NoiseSchedule(self.device)

    @torch.no_grad()
    def __call__(self, chunk: dict) -> dict[str, torch.Tensor]:
        device = self.device
        torch.manual_seed(int(chunk["index"][0]))
        alpha, other_alpha, head = (self.mask(chunk, name) for name in ("alpha", "other_alpha", "head"))
        hole = (self.mask(chunk, "hole") > 0.5).float()
        drawn = self.pixels(chunk, "picture")
        place = like_hair(drawn, self.pixels(chunk, "place"), head, device)
        picture = place.lerp(drawn, alpha)
        other = place.lerp(self.pixels(chunk, "other"), other_alpha)
        begun = spoilt(other, place, torch.maximum(alpha, other_alpha), device)
        timesteps = torch.randint(*LOW, (len(begun),), device=device.type)
        higher = torch.randint(*HIGH, (len(begun),), device=device.type)
        timesteps = torch.where(torch.rand(len(begun), device=device.type) < LOWER, timesteps, higher)
        timesteps[round(PAINTED * len(begun)) :] = 0
        painted = self.painted(begun, picture, hole, chunk["caption"], timesteps)
        blur = torch.where(timesteps > 0, 1.0, 3.0) * torch.rand(len(begun), device=device.type)
        coarse = torch.maximum(
            device.place(chunk["coarse"]) * torch.rand(len(begun), device=device.type), blur
        )
        painted = picture.lerp(enlarged(painted, coarse), hole)
        return {
            "painted": stored(painted),
            "picture": stored(picture),
            "place": stored(place),
            "skeleton": device.place(chunk["skeleton"]),
            "hole": hole[:, 0] > 0,
            "alpha": device.place(chunk["alpha"]),
            "weight": device.place(chunk["weight"]),
            "told": device.place(chunk["told"]),
            "timestep": timesteps,
        }

    def pixels(self, chunk: dict, name: str) -> torch.Tensor:
        """(B, 3, H, W) in -1..1."""
        return self.device.place(chunk[name]).permute(0, 3, 1, 2).float().div(127.5).sub(1)

    def mask(self, chunk: dict, name: str) -> torch.Tensor:
        """(B, 1, H, W) in 0..1."""
        return self.device.place(chunk[name])[:, None].float() / 255

    def painted(self, begun, picture, hole, captions: list[str], timesteps) -> torch.Tensor:
        """(B, 3, H, W): ``begun`` as the UNet paints it over from each one's timestep on; those of 0, which
        come last, stay."""
        count = int((timesteps > 0).sum())
        tokens = self.device.place(self.trainee.tokens(captions[:count]))
        painted = begun.clone()
        painted[:count] = self._denoised(
            begun[:count], picture[:count], hole[:count], tokens, timesteps[:count]
        )
        return painted

    def _denoised(self, begun, picture, hole, tokens, timesteps) -> torch.Tensor:
        device, vae, schedule = self.device, self.vae, self.schedule
        with device.autocast():
            grey = picture * (1 - hole)
            both = torch.cat([begun, grey]).contiguous(memory_format=torch.channels_last)
            latents, around = vae.encoder(both).float().chunk(2)
        extra = torch.cat([hole[:, :, ::VAE_FACTOR, ::VAE_FACTOR], around], 1)
        words, now = self.trainee.embed(tokens), timesteps
        noisy, _ = schedule.noisy(latents, torch.randn_like(latents), now)
        for number in range(DENOISING_STEPS):
            with device.autocast():
                v = self.trainee.predict(noisy, extra, now, words, ()).float()
            signal, noise = (one[now][:, None, None, None] for one in (schedule.signal, schedule.noise))
            clean, rest = signal * noisy - noise * v, signal * v + noise * noisy
            now = timesteps * (DENOISING_STEPS - 1 - number) // DENOISING_STEPS
            signal, noise = (one[now][:, None, None, None] for one in (schedule.signal, schedule.noise))
            noisy = signal * clean + noise * rest  # DDIM (Song et al. 2021)
        with device.autocast():
            return vae.decoder(clean.contiguous(memory_format=torch.channels_last)).float().clamp(-1, 1)
