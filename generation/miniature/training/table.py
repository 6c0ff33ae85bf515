"""What trained networks are worth at a glance: the VAE's copies, and the pose step's outlines."""

from __future__ import annotations

import numpy as np

from generation.miniature.training import sheet, train_vae
from generation.miniature.training.trainee import Trainee
from generation.miniature.world import scenes

CHANGED = 40  # of 255: from here on a pixel is painted, not place


def measured_table(trainee: Trainee, vae, count: int = 24) -> str:
    """Rows of text. ``make bench-quality`` measures what is exported, with controls and intervals."""
    lines = [
        f"VAE, {name:<40}{value:8.2f} dB"
        for name, value in train_vae.held_out_psnr(vae, trainee.device, 48).items()
    ]
    asked = sheet.requests(False, count)
    with sheet.moving_average(trainee):
        painted = np.concatenate(
            [sheet.paint(trainee, vae, asked[k : k + 8], False) for k in range(0, count, 8)]
        )
    outlines = []
    for index, picture in enumerate(painted):
        scene = sheet.held_out_scene(index)
        background = np.asarray(scenes.draw_background(scene)).astype(int)
        moved = (np.abs(picture - background).max(2) > CHANGED) & asked[index]["hole"]
        drawn = np.asarray(scenes.silhouette(scene)) > 127
        outlines.append((moved & drawn).sum() / max(1, (moved | drawn).sum()))
    lines.append(f"{'pose alone, outline IoU':<45}{np.mean(outlines):8.2f}")
    return "\n".join(lines)
