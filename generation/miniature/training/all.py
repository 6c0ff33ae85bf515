"""Trains the whole miniature: ``python -m generation.miniature.training.all WORK --minutes 9``.

VAE, then UNet, ControlNet and text encoder; then the weights are exported to ``WORK/weights`` and measured.
Runs on a GPU if there is one. Can be killed at any moment and run again: it goes on from its last checkpoint.
``TRAINING.md`` says what it learns from and how.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from generation.miniature.training.checkpoints import Plan, log

# Shares of the minutes. The rest is for the export and the table.
VAE_SHARE, UNET_SHARE = 0.2, 0.72


def plans(args: argparse.Namespace) -> tuple[Plan, Plan]:
    seconds = 60 * args.minutes
    vae, unet = Plan(seconds=VAE_SHARE * seconds), Plan(seconds=UNET_SHARE * seconds)
    if args.vae_steps:
        vae = Plan(steps=args.vae_steps)
    if args.unet_steps:
        unet = Plan(steps=args.unet_steps)
    return vae, unet


def run_training(module: str, *arguments: Path | str) -> None:
    """Run another training of this package to its end, in a process of its own."""
    command = [sys.executable, "-m", f"generation.miniature.training.{module}", *map(str, arguments)]
    subprocess.run(command, check=True)


def train_all(args: argparse.Namespace) -> None:
    # Here, since every process that draws samples imports this module first: diffusers takes ten seconds.
    from generation.miniature.training import carry, device, export, train_unet, train_vae
    from generation.miniature.training.table import measured_table

    began, work = time.monotonic(), args.work
    work.mkdir(parents=True, exist_ok=True)
    chosen = device.choose(args.device)
    save_seconds = args.save_seconds or (45 if chosen.is_gpu else 120)
    for_vae, for_unet = plans(args)
    vae = train_vae.train(work, for_vae, chosen, save_seconds)
    carry.pack(work, args.carry or work / "carry")
    trainee = train_unet.train(work, vae, for_unet, chosen, save_seconds)
    carry.pack(work, args.carry or work / "carry")
    weights = work / "weights"
    export.export(work, weights)
    if args.readers:
        run_training("train_reader", weights / "reader.onnx")
        for name in ("matting", "restoration", "body_restoration"):
            run_training(f"train_{name}", work, "--file", weights / f"{name}.safetensors")
    table = measured_table(trainee, vae)
    table += f"\n{time.monotonic() - began:.0f} s in this run; {for_vae.step} steps of the VAE, "
    table += f"{for_unet.step} of the UNet"
    print(table)
    (work / "table.txt").write_text(table + "\n")
    if args.carry:
        for name in ("table.txt", "sheet.png", "weights/reader.onnx"):
            if (work / name).exists():
                shutil.copy(work / name, args.carry)
    log("done")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for checkpoints, sheets and the exported weights")
    parser.add_argument("--minutes", type=float, default=9, help="of training, earlier runs counted in")
    parser.add_argument("--vae-steps", type=int, help="a number of steps instead of a share of the minutes")
    parser.add_argument("--unet-steps", type=int, help="likewise; what is learned then follows from it alone")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="instead of the fastest that is there")
    parser.add_argument("--save-seconds", type=float, help="between checkpoints; 45 on a GPU, else 120")
    parser.add_argument("--carry", type=Path, help="folder for the files to go on with on another machine")
    parser.add_argument("--readers", action="store_true", help="also reader, matting, restorations")
    train_all(parser.parse_args())


if __name__ == "__main__":
    main()
