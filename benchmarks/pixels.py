"""Whether every picture is still the same to the pixel: ``python -m benchmarks.pixels``, some minutes.

A fixed set of requests is drawn and painted. Each step's picture is hashed (SHA-256 of its RGB pixels) and
compared with the list in ``pixels.json``. Prints a table; exits with 1 if anything differs. A change that is
meant to change no picture must leave this list alone; one that changes pictures writes it anew with
``--record``.

All requests go through ``generator.generate``, and some as commands too: ``python -m generation.generator``
and ``generator_classic``. STEP_ISOLATION says which way the steps take; the list is the same for all of them.

The same request makes the same picture only where the arithmetic is the same. So there is one list for each
kind of processor, number of threads, version of torch and number format. A machine that has none is told so
and exits with 2.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from generation import generator, job_folder
from generation.miniature import demo_content
from generation.miniature.world import joints, scenes
from generation.miniature.world.pen import View
from generation.models import hardware
from generation.models.profiles import MINIATURE
from generation.processes import omp
from generation.request import GenerationRequest
from generation.step_table import ORDER
from generation.vision import detectors

LIST = Path(__file__).with_suffix(".json")  # kind of machine, request, column: hash
COMMANDS = ("generator", "generator_classic")
STEPS = [f"{index} {name}" for index, name in enumerate(("background", *ORDER))]
COLUMNS = ("drawn", *STEPS, "finished", *COMMANDS)
LONG = "a long yellow raincoat with a hood, red rubber boots, a straw hat and a basket full of lemons"
TOO_LONG = ", ".join([LONG] * 6)  # for the text encoder: these words are left out of the prompt
# Of the settings, those that change a picture. They are as the table below says, whatever else is set.
SETTINGS = (
    *("INPAINT_MODEL", "CONTROLNET_MODEL", "DETAIL_MODEL", "SAFETY_MODEL", "SAFETY_CHECK", "MEMORY_PLAN"),
    *("DENOISING_STEPS", "FACE_CANDIDATES", "FULL_SIZE"),
)
INSTRUCTIONS = ("avx2", "avx_vnni", "avx512_f", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16", "sve")


@dataclass(frozen=True)
class Asked:
    """One request. Pose, person, clothes and place are those of the held-out scene ``seed``."""

    name: str
    seed: int
    shot: str
    size: tuple[int, int] = (256, 256)  # of the place's picture, in pixels
    demo_action: str = ""  # skeleton and masks of the demo's catalogue instead of the scene's own
    details: str | None = None  # instead of the scene's clothes
    lora_scale: float | None = None  # None: without a LoRA
    faces: bool = False  # with the embeddings of a visitor's photos
    skin_tone: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()


# Requests of the same settings follow one another: a template begins anew with other ones.
REQUESTS = (
    Asked("close", 0, "CLS", commands=("generator_classic",)),
    Asked("medium", 1, "MES"),
    Asked("far", 2, "FUS"),
    Asked("the demo's waving", 3, "MES", demo_action="waving"),
    Asked("the demo's jumping, wide place", 4, "FUS", (480, 320), demo_action="jumping"),
    Asked("large place", 5, "MES", (768, 512)),
    Asked("tall place", 6, "FUS", (333, 500)),
    Asked("very wide place", 7, "MES", (600, 200)),
    Asked("small place", 8, "CLS", (160, 128)),
    Asked("no details", 9, "MES", details=""),
    Asked("details too long", 10, "CLS", details=TOO_LONG),
    Asked("face, close", 11, "CLS", lora_scale=1.0),
    Asked("face, medium, skin tone", 12, "MES", lora_scale=1.0, skin_tone="dark", commands=COMMANDS),
    Asked("face, far, tall place", 13, "FUS", (400, 600), lora_scale=1.0),
    Asked("face, half scale, long details", 14, "MES", lora_scale=0.5, details=LONG),
    Asked("face, likeness", 15, "CLS", (300, 256), lora_scale=1.0, faces=True, skin_tone="light"),
    Asked("face, second of two", 21, "MES", lora_scale=1.0, faces=True, settings={"FACE_CANDIDATES": "2"}),
    Asked("full size", 17, "FUS", (900, 600), settings={"FULL_SIZE": "1"}),
    Asked("face, full size", 18, "MES", (600, 800), "pointing", lora_scale=1.0, settings={"FULL_SIZE": "1"},
          commands=("generator_classic",)),
)  # fmt: skip


# --- what is asked for --------------------------------------------------------------------------------------


def write_lora(path: Path, rank: int = 8, strength: float = 0.05) -> None:
    """A LoRA for the miniature, named and shaped as the trainer's; small random weights, always the same."""
    rng, tensors = np.random.default_rng(5), {}
    model = Path(MINIATURE.inpaint_model.id)
    for file, prefix, inside in (
        ("unet/diffusion_pytorch_model", "lora_unet_", ".attentions."),
        ("text_encoder/model", "lora_te_text_model_", "encoder.layers."),
    ):
        with safe_open(model / f"{file}.safetensors", "numpy") as weights:
            shapes = {name: weights.get_slice(name).get_shape() for name in sorted(weights.keys())}
        for name, (out, *into) in shapes.items():
            if inside in name and into:  # a layer's weight, neither a bias nor of a norm
                layer = prefix + name.removesuffix(".weight").replace(".", "_")
                for part, shape in (("down", (rank, *into)), ("up", (out, rank, *into[1:]))):
                    values = rng.normal(0, strength, shape).astype(np.float32)
                    tensors[f"{layer}.lora_{part}.weight"] = values
                tensors[f"{layer}.alpha"] = np.array(rank, np.float32)
    save_file(tensors, path)


@functools.cache
def embeddings() -> list[list[float]]:
    """Of the photos of the demo's first person."""
    see = detectors(MINIATURE.name)
    seen = [(photo, see.find_faces(photo)) for photo in demo_content.people()[0].photos]
    return [see.embed_face(photo, found[0]).tolist() for photo, found in seen if found]


def write_request(asked: Asked, beside: Path) -> Path:
    """``request.json`` in the folder ``beside``, with the files that it names."""
    scene = scenes.random_scene(scenes.HELD_OUT + asked.seed, shot=asked.shot)
    width, height = asked.size
    square = scenes.draw_background(scene, View(pixels=max(asked.size)))
    square.crop((0, square.height - height, width, square.height)).save(beside / "background.png")
    if asked.demo_action:
        shot = demo_content.make_shot(asked.demo_action, asked.shot)
        frame = shot.skeleton, shot.subject_mask, shot.face_mask
    else:
        frame = scenes.skeleton(scene), scenes.subject_mask(scene), scenes.head_mask(scene)
    names = ("skeleton", "subject_mask", "face_mask")
    for name, picture in zip(names, frame, strict=True):
        picture.save(beside / f"{name}.png")
    if with_lora := asked.lora_scale is not None:
        write_lora(beside / "lora.safetensors")
    return GenerationRequest(
        code="00000000",
        profile=MINIATURE.name,
        seed=asked.seed,
        **{name: f"{name}.png" for name in ("background", *names)},
        age=scene.person.age,
        gender=scene.person.gender,
        action_description=joints.ACTIONS[asked.demo_action or scene.action].description,
        other_details=scene.clothes if asked.details is None else asked.details,
        place_description=scene.place.description,
        lora="lora.safetensors" if with_lora else None,
        lora_code="00000001" if with_lora else None,
        lora_scale=asked.lora_scale if with_lora else 1.0,
        faces=embeddings() if asked.faces else None,
        skin_tone=asked.skin_tone,
    ).save(beside)


# --- what is painted ----------------------------------------------------------------------------------------


def hash_of(*paths: Path) -> str:
    """SHA-256 of the sizes and RGB pixels of pictures; how their files are written doesn't count."""
    whole = hashlib.sha256()
    for path in paths:
        with Image.open(path) as picture:
            whole.update(str(picture.size).encode() + picture.convert("RGB").tobytes())
    return whole.hexdigest()


def hashes(asked: Asked) -> dict[str, str]:
    """Column of the table to hash, of one request."""
    with (
        tempfile.TemporaryDirectory(prefix="cartolina-pixels-") as work,
        mock.patch.dict(os.environ, asked.settings),
    ):
        beside, job = Path(work, "request"), Path(work, "job")
        beside.mkdir()
        job.mkdir()
        request = write_request(asked, beside)
        found = {"drawn": hash_of(*sorted(beside.glob("*.png")))}
        job_folder.lay_out(request, job)
        whole = generator.generate(job)
        for index in range(job_folder.newest_index(job) + 1):
            found[STEPS[index]] = hash_of(job_folder.picture_path(job, index))
        found["finished"] = hash_of(whole)
        for command in asked.commands:
            found[command] = hash_of(by_command(command, request, Path(work)))
        return found


def by_command(name: str, request: Path, work: Path) -> Path:
    """The picture that ``python -m generation.NAME REQUEST.json`` makes."""
    output = work / f"{name}.png"
    command = [sys.executable, "-m", f"generation.{name}", request, "--output", output, "--tmp-data", work]
    environment = os.environ | omp.waiting()
    done = subprocess.run(command, cwd=generator.ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} as a command failed: {done.stderr}")
    return output


def arithmetic() -> str:
    """What decides how this machine calculates."""
    machine, able = hardware.choose(), torch.cpu.get_capabilities()
    name = torch.cuda.get_device_name() if machine.device == "cuda" else able.get("cpu_name", "?")
    known = " ".join(one for one in INSTRUCTIONS if able.get(one)) or "none known"
    count = len(os.sched_getaffinity(0))
    dtype = str(machine.dtype).removeprefix("torch.")
    return f"{name}, {known}, threads: {count}, torch {torch.__version__}, {dtype}"


def verdict(known: str | None, found: str | None) -> str:
    if known and found:
        return "same" if known == found else "DIFFERS"
    return "new" if found else "missing" if known else "-"


def row(first: str, cells: Iterable[str]) -> str:
    widths = (max(len(column), 8) for column in COLUMNS)
    padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([f"{first:<32}", *padded]).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write this machine's list instead")
    args = parser.parse_args()
    for name in SETTINGS:
        os.environ.pop(name, None)
    os.environ["FULL_SIZE"] = "0"  # but for the requests that ask for it
    lists, machine = json.loads(LIST.read_text()) if LIST.exists() else {}, arithmetic()
    if machine not in lists and not args.record:
        print(f"No pictures are recorded for this kind of machine: {machine}.", file=sys.stderr)
        sys.exit(2)
    known = lists.get(machine, {})
    print(machine)
    print(row("", COLUMNS))
    painted = {}
    for asked in REQUESTS:
        painted[asked.name] = found = hashes(asked)
        before = known.get(asked.name, {})
        print(row(asked.name, (verdict(before.get(c), found.get(c)) for c in COLUMNS)), flush=True)
    if args.record:
        LIST.write_text(json.dumps(lists | {machine: painted}, indent=1) + "\n")
        print(f"written to {LIST}")
    elif painted != known:
        sys.exit("Pictures differ from those in the list.")


if __name__ == "__main__":
    main()
