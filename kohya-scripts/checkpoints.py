"""The files of a training: the LoRA in kohya's format with kohya's metadata, and the state to resume from."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import metadata
import torch
from base_model import DTYPES, Model
from pictures import Picture
from reporting import TrainingError, first_line, log
from safetensors.torch import save_file


class Checkpoints:
    """Writes what is due after a step. A file is written aside and renamed, so a file that exists is whole.

    ``trained`` holds the objects whose ``state_dict()`` make up the state: network, optimizer, scaler. The
    network's has kohya's keys, which WebUIs and diffusers' ``load_lora_weights`` read, and is the LoRA.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        model: Model,
        trained: dict,
        pictures: list[Picture],
        seed: int,
        epoch_length: int,
        total: int,
    ) -> None:
        """``epoch_length`` and ``total`` are numbers of steps."""
        self.args, self.trained, self.seed = args, trained, seed
        self.epoch_length, self.total = epoch_length, total
        self.metadata = metadata.of_training(args, pictures, seed, epoch_length, model.predicts_velocity)
        args.output_dir.mkdir(parents=True, exist_ok=True)

    def save_due(self, done: int) -> None:
        for name in self._names(done):
            self._save_lora(self.args.output_dir / f"{name}.safetensors", done)
            if self.args.save_state:
                self._save_state(self.args.output_dir / f"{name}-state", done)

    def _names(self, done: int) -> list[str]:
        """kohya's names of the files that are due after ``done`` steps."""
        args = self.args
        if done == self.total:
            return [args.output_name]
        names = []
        if args.save_every_n_steps and done % args.save_every_n_steps == 0:
            names.append(f"{args.output_name}-step{done:08d}")
        if args.save_every_n_epochs and done % (args.save_every_n_epochs * self.epoch_length) == 0:
            names.append(f"{args.output_name}-{done // self.epoch_length:06d}")
        return names

    def _save_lora(self, path: Path, done: int) -> None:
        weights = {
            key: value.to("cpu", DTYPES[self.args.save_precision]).contiguous()
            for key, value in self.trained["network"].state_dict().items()
        }
        epoch = (done - 1) // self.epoch_length + 1
        aside = path.with_name(path.name + ".part")
        save_file(weights, aside, metadata.of_file(weights, self.metadata, done, epoch))
        put_in_place(aside, path)
        log(f"saved {path}")

    def _save_state(self, folder: Path, done: int) -> None:
        folder.mkdir(exist_ok=True)
        state = {name: part.state_dict() for name, part in self.trained.items()}
        torch.save({**state, "step": done, "seed": self.seed}, folder / "state.part")
        put_in_place(folder / "state.part", folder / "state.pt")
        if self.args.save_last_n_steps_state:
            self._remove_states(done - self.args.save_last_n_steps_state)

    def _remove_states(self, newest: int) -> None:
        """Those of step ``newest`` and before."""
        for folder in self.args.output_dir.glob(f"{self.args.output_name}-step*-state"):
            if int(folder.name.split("-step")[-1].removesuffix("-state")) <= newest:
                shutil.rmtree(folder)


def put_in_place(aside: Path, path: Path) -> None:
    """Renames a file once it is on the disk, so that it is whole even after a power cut."""
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)


def load_state(folder: Path) -> dict:
    """Reads tensors and plain values only: a file made to run code is refused."""
    try:
        return torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    except Exception as error:  # a missing file, half a file, another file: torch has a type for each
        raise TrainingError(f"can't resume from {folder}: {first_line(error)}") from error


def restore(state: dict, trained: dict, folder: Path) -> None:
    """Puts a state that ``load_state`` read from ``folder`` into the objects of ``trained``."""
    try:
        for name, part in trained.items():
            part.load_state_dict(state[name])
    except (KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(f"{folder} is of another network: {first_line(error)}") from error
