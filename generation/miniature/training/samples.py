"""What the miniature's UNet and ControlNet learn from: drawn scenes as cached latents.

Two kinds of sample. A *scene* is a whole picture whose mask covers the person. A *face* is a close-up whose
mask covers the head, as the face step sees it. Both come with the latents of the picture and of the picture
with the mask's inside greyed out, since encoding costs more than a training step.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from generation.miniature.training import captions
from generation.miniature.training.checkpoints import log
from generation.miniature.training.family import LATENT_CHANNELS
from generation.miniature.training.train_vae import close_up_view
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import SCENE, View, grow
from generation.poses import openpose

LATENT = SCENE // 8
FACE_SHARE = 0.3  # of all samples


def is_face(index: int) -> bool:
    return index % 10 < 10 * FACE_SHARE


def sample_scene(index: int) -> scenes.Scene:
    """The scene of a training sample; people repeat in other scenes, so that features and places part."""
    if index >= scenes.HELD_OUT:
        raise ValueError(f"sample {index}: seeds from {scenes.HELD_OUT} on are held out for measuring")
    return scenes.random_scene(index, people.random_person(index))


def _loose_mask(silhouette: Image.Image, rng: random.Random) -> Image.Image:
    """A subject mask as editors make them: a thick outline, blocks, or a box."""
    kind = rng.random()
    if kind < 0.65:
        grown = grow(silhouette, rng.randint(4, 14))
        return grown.filter(ImageFilter.GaussianBlur(3)).point(lambda v: 255 if v > 100 else 0)
    if kind < 0.85:
        cell = rng.choice((16, 24, 32))
        small = grow(silhouette, 2).resize((SCENE // cell, SCENE // cell), Image.Resampling.BOX)
        return small.point(lambda v: 255 if v > 4 else 0).resize(silhouette.size, Image.Resampling.NEAREST)
    left, top, right, bottom = silhouette.getbbox() or (0, 0, SCENE, SCENE)
    mask = Image.new("L", silhouette.size)
    margin = [rng.randint(2, 14) for _ in range(4)]
    mask.paste(
        255,
        (
            max(0, left - margin[0]),
            max(0, top - margin[1]),
            min(SCENE, right + margin[2]),
            min(SCENE, bottom + margin[3]),
        ),
    )
    return mask


def _face_hole(scene: scenes.Scene, view: View, rng: random.Random) -> Image.Image:
    return grow(scenes.face_mask(scene, view), rng.choice((0, 4, 8, 12, 16)))


def draw_sample(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture and picture with a hole, both (256, 256, 3) uint8, and the hole, (256, 256) bool."""
    rng = random.Random(f"sample {index}")
    scene = sample_scene(index)
    if is_face(index):
        view = close_up_view(scene, rng.uniform(0.36, 0.66))
        picture, hole = scenes.draw_scene(scene, view), _face_hole(scene, view, rng)
        around = (
            picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 4))) if rng.random() < 0.5 else picture
        )
    else:
        picture, hole = scenes.draw_scene(scene), _loose_mask(scenes.silhouette(scene), rng)
        around = picture
    inside = np.asarray(hole) > 127
    holed = np.where(inside[..., None], np.uint8(127), np.asarray(around))
    return np.asarray(picture), holed, inside


def head_window(index: int) -> tuple[slice, slice]:
    """Rows and columns of the latents under the head of a *scene* sample."""
    pose = sample_scene(index).pose
    reach = 1.2 * pose.head_half
    x, y = pose.head
    return tuple(slice(max(0, int((c - reach) // 8)), max(0, int((c + reach) // 8) + 1)) for c in (y, x))


class Cache:
    """Latents on disk: ``latents`` and ``holed`` (N, 4, 32, 32) float16, ``holes`` (N, 32, 32) uint8.

    What is there is kept when ``count`` is raised later, and only the rest is drawn.
    """

    def __init__(self, work: Path, count: int):
        self.count = count
        latents = (count, LATENT_CHANNELS, LATENT, LATENT)
        shapes = {"latents": latents, "holed": latents, "holes": (count, LATENT, LATENT)}
        kinds = {"latents": np.float16, "holed": np.float16, "holes": np.uint8}
        self.arrays = {}
        for name, shape in shapes.items():
            path = work / f"cache-{name}.bin"
            path.touch()
            self.arrays[name] = np.memmap(path, kinds[name], "r+", shape=shape)  # lengthens the file
        self.done_file = work / "cache-done.txt"
        self.done = int(self.done_file.read_text()) if self.done_file.exists() else 0

    @torch.no_grad()
    def fill(self, vae, dtype: torch.dtype = torch.float32, batch: int = 8) -> None:
        """Draw and encode what is missing, products in ``dtype``; can be interrupted and gone on with."""
        while self.done < self.count:
            upto = min(self.done + batch, self.count)
            drawn = [draw_sample(k) for k in range(self.done, upto)]
            pictures = torch.from_numpy(np.stack([d[0] for d in drawn] + [d[1] for d in drawn]))
            pictures = (
                pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1).to(memory_format=torch.channels_last)
            )
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                latents = vae.encode(pictures).latents.float().numpy()
            rows = slice(self.done, upto)
            self.arrays["latents"][rows] = latents[: len(drawn)]
            self.arrays["holed"][rows] = latents[len(drawn) :]
            # as the pipelines do: nearest neighbour, the first pixel of every 8 x 8
            self.arrays["holes"][rows] = np.stack([d[2][::8, ::8] for d in drawn])
            self.done = upto
            if (self.done // batch) % 50 == 0 or self.done == self.count:
                for array in self.arrays.values():
                    array.flush()
                self.done_file.write_text(str(self.done))
                log(f"encoded {self.done} of {self.count} samples")

    def batch(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Float tensors (B, 4, 32, 32), (B, 4, 32, 32), (B, 1, 32, 32)."""
        latents, holed, holes = (self.arrays[n][indices] for n in ("latents", "holed", "holes"))
        return (
            torch.from_numpy(latents).float(),
            torch.from_numpy(holed).float(),
            torch.from_numpy(holes)[:, None].float(),
        )


def caption(index: int, rng: random.Random) -> str:
    words = captions.face_caption if is_face(index) else captions.scene_caption
    return words(sample_scene(index), rng)


def skeleton_picture(scene: scenes.Scene) -> torch.Tensor:
    """(3, 256, 256) in 0..1."""
    picture = np.asarray(openpose.draw(scene.pose.visible(), (SCENE, SCENE)))
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float().div(255)
