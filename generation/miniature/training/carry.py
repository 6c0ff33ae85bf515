"""Trained weights in small files, to go on with on another machine.

``pack`` writes the moving averages and the VAE in half precision, and the tokenizer, into files of at most
15 MiB; ``unpack`` makes checkpoints of them, with which a training begins anew: its optimizer starts from
nothing, which the learning rate's warm-up allows for.

    python -m generation.miniature.training.carry pack WORK FOLDER
    python -m generation.miniature.training.carry unpack FOLDER WORK
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from generation.miniature.training import family, train_unet, train_vae
from generation.miniature.training.checkpoints import load_checkpoint, log, save_checkpoint
from generation.miniature.training.device import Device
from generation.miniature.training.trainee import Trainee

LARGEST = 15 * 2**20
NAME = "carried-{}.safetensors"
TOKENIZER = ("vocab.json", "merges.txt", "tokenizer_config.json")


def pack(work: Path, folder: Path) -> list[Path]:
    """The files written to ``folder``, of what the checkpoints in ``work`` hold."""
    device = Device("cpu", torch.float32)
    tensors, told, tokenizer = {}, {}, {}
    vae = family.build_vae()
    if counters := load_checkpoint(work / train_vae.FILE, vae=vae):
        told["vae"] = counters
        tensors |= {f"vae.{name}": value for name, value in vae.state_dict().items()}
    if (work / train_unet.FILE).exists():
        trainee = Trainee(work, device)
        told["unet"] = load_checkpoint(work / train_unet.FILE, **trainee.parts())
        tokenizer = {name: (work / "tokenizer" / name).read_text("utf-8") for name in TOKENIZER}
        trainee.ema.copy_to(trainee.networks.parameters())
        tensors |= {f"networks.{name}": value for name, value in trainee.networks.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(NAME.format("*")):
        old.unlink()
    parts, size = [{}], 0
    for name, value in tensors.items():
        value = value.half().contiguous() if value.is_floating_point() else value.contiguous()
        if size + value.nbytes > LARGEST - 2**17:  # the header takes some of it
            parts.append({})
            size = 0
        parts[-1][name] = value
        size += value.nbytes
    written = [folder / NAME.format(number) for number in range(len(parts))]
    for path, part in zip(written, parts, strict=True):
        save_file(part, path, metadata={"counters": json.dumps(told), "tokenizer": json.dumps(tokenizer)})
    log(f"{len(written)} files for going on with, {sum(p.stat().st_size for p in written) / 1e6:.1f} MB")
    return written


def unpack(folder: Path, work: Path) -> None:
    """Checkpoints in ``work``: the VAE as trained, the networks at step 0 with the carried weights."""
    work.mkdir(parents=True, exist_ok=True)
    tensors, told, tokenizer = {}, {}, {}
    for path in sorted(folder.glob(NAME.format("*"))):
        with safe_open(path, "pt") as file:
            told, tokenizer = (json.loads(file.metadata()[name]) for name in ("counters", "tokenizer"))
            tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not tensors:
        raise SystemExit(f"{folder}: no files {NAME.format('*')}")
    vae = family.build_vae()
    vae.load_state_dict(_under("vae.", tensors))
    save_checkpoint(work / train_vae.FILE, told["vae"], vae=vae)
    if "unet" in told:
        (work / "tokenizer").mkdir(exist_ok=True)
        for name, text in tokenizer.items():
            (work / "tokenizer" / name).write_text(text, "utf-8")
        trainee = Trainee(work, Device("cpu", torch.float32))
        trainee.networks.load_state_dict(_under("networks.", tensors))
        trainee.reset_average()
        counters = {"step": 0, "spent": 0.0}
        save_checkpoint(work / train_unet.FILE, counters, networks=trainee.networks, ema=trainee.ema)
    log(f"unpacked {told} into {work}")


def _under(prefix: str, tensors: dict) -> dict:
    return {name.removeprefix(prefix): v.float() for name, v in tensors.items() if name.startswith(prefix)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("pack", "unpack"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    (pack if args.action == "pack" else unpack)(args.source, args.target)


if __name__ == "__main__":
    main()
