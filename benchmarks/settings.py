"""Which guidance and strength each step of the miniature should have: ``python -m benchmarks.settings``.

Held-out requests in this process, on models loaded once. First each step alone: pose over its guidance,
detail and harmonize over strength and guidance, each from what the steps before it left. Then the whole chain
with each step left out in turn: a step has to earn its place. ``benchmarks.judge.rows`` says what is read;
``fine`` is the contrast of the finest detail inside the subject mask, as a share of the drawing's own.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import measures
from benchmarks.harness.job_folders import read_inputs
from benchmarks.judge.rows import READINGS, readings_line
from benchmarks.quality import held_out_scene, write_job
from generation.miniature.world import scenes
from generation.miniature.world.scenes import HELD_OUT, Scene
from generation.models import hardware, pipelines

POSE_GUIDANCE = (2.0, 3.0, 5.0, 7.5)
DETAIL = ((0.05, 1.0), (0.15, 1.0), (0.15, 2.0), (0.3, 1.0), (0.3, 2.0), (0.45, 2.0))  # strength, guidance
HARMONIZE = ((0.05, 1.0), (0.1, 1.0), (0.1, 3.0), (0.2, 1.5))
TUNED_ON = HELD_OUT + 3000  # other requests than those of the quality table, so that it stays a test


class Easel:
    """Requests, and the steps on them."""

    def __init__(self, work: Path, count: int):
        self.scenes: list[Scene] = [held_out_scene(TUNED_ON - HELD_OUT + k) for k in range(count)]
        self.inputs = []
        for number, scene in enumerate(self.scenes):
            write_job(work / str(number), scene, number)
            self.inputs.append(read_inputs(work / str(number)))
        self.backgrounds = [inputs.canvas.background for inputs in self.inputs]
        self.cache = pipelines.PipelineCache()

    def paint(self, name: str, index: int, pictures: list[Image.Image], **settings) -> list[Image.Image]:
        painted = []
        for inputs, picture in zip(self.inputs, pictures, strict=True):
            changed = dataclasses.replace(getattr(inputs.profile, name), **settings)
            own = dataclasses.replace(inputs, profile=dataclasses.replace(inputs.profile, **{name: changed}))
            pipeline = self.cache.pipeline(name, own.profile)
            painted.append(own.paint(name, index, picture, pipeline))
        return painted

    def say(self, name: str, pictures: list[Image.Image]) -> None:
        shares = [
            fine(p, s) / fine(scenes.draw_scene(s), s) for p, s in zip(pictures, self.scenes, strict=True)
        ]
        print(f"{readings_line(name, pictures, self.scenes)}{np.mean(shares):>8.2f}", flush=True)


def fine(picture: Image.Image, scene: Scene) -> float:
    return measures.fine_contrast(picture, np.asarray(scenes.silhouette(scene)) > 127)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=24)
    args = parser.parse_args()
    hardware.use_cores()
    with tempfile.TemporaryDirectory(prefix="cartolina-settings-") as work:
        easel = Easel(Path(work), args.requests)
        print(f"{args.requests} requests{'':<24}{READINGS}{'fine':>8}")
        easel.say("as drawn", [scenes.draw_scene(scene) for scene in easel.scenes])
        for guidance in POSE_GUIDANCE:
            posed = easel.paint("pose", 1, easel.backgrounds, guidance=guidance)
            easel.say(f"pose, guidance {guidance}", posed)
        chain = {"pose": easel.paint("pose", 1, easel.backgrounds)}
        for strength, guidance in DETAIL:
            detailed = easel.paint("detail", 2, chain["pose"], strength=strength, guidance=guidance)
            easel.say(f"detail, strength {strength}, guidance {guidance}", detailed)
        chain["detail"] = easel.paint("detail", 2, chain["pose"])
        chain["again"] = easel.paint("detail", 3, chain["detail"])
        for strength, guidance in HARMONIZE:
            whole = easel.paint("harmonize", 4, chain["again"], strength=strength, guidance=guidance)
            easel.say(f"harmonize, strength {strength}, guidance {guidance}", whole)
        print("\nthe chain as the profile has it, and without one step")
        easel.say("whole", easel.paint("harmonize", 4, chain["again"]))
        easel.say("without one detail", easel.paint("harmonize", 4, chain["detail"]))
        easel.say("without both details", easel.paint("harmonize", 4, chain["pose"]))
        easel.say("without harmonize", chain["again"])
        easel.say("pose alone", chain["pose"])


if __name__ == "__main__":
    main()
