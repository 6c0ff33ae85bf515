"""Trains the judge of faces: ``python -m benchmarks.judge.train WORK``.

Drawing takes ten minutes of two cores, training fifteen more. Killed and run again, it goes on.

The embedding is learned by contrast (NT-Xent, Chen et al. 2020): of all heads in a batch, the nearest to one
must be the same person's in another scene. From the same layers the network reads hair, skin, beard, glasses,
age and gender, and whether eyes, mouth and hair are whole.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.judge import crops, reader
from benchmarks.judge.reader import BEARDS, GLASSES, PARTS, STYLES
from generation.miniature.training import device
from generation.miniature.training.checkpoints import (
    Plan,
    level_then_falling,
    load_checkpoint,
    log,
    save_checkpoint,
)
from generation.miniature.training.device import Device
from generation.miniature.world.people import AGES, GENDERS

STEPS, TOP_RATE = 1_600, 3e-3
PAIRS, BROKEN = 32, 96  # in a batch
TEMPERATURE = 0.1
NUMBERS = 48  # of the embedding
KINDS = {"style": STYLES, "beard": BEARDS, "glasses": GLASSES, "age": AGES, "gender": GENDERS}
COLOURS = 6  # hair and skin, the first of the labels; then one of each kind, then PARTS


class _Block(nn.Module):
    """Two convolutions around which the input goes unchanged."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x):
        return F.silu(x + self.layers(x))


class Judge(nn.Module):
    """(B, 3, SIDE, SIDE) in 0..1 to the embedding, colours, logits of KINDS, and PARTS in 0..1."""

    def __init__(self):
        super().__init__()
        layers, before = [], 3
        for width, blocks in ((16, 0), (32, 1), (64, 1), (96, 1)):
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU()]
            layers += [_Block(width) for _ in range(blocks)]
            before = width
        layers += [nn.Conv2d(before, 32, 1), nn.SiLU(), nn.Flatten(), nn.Dropout(0.1)]
        self.body = nn.Sequential(*layers, nn.Linear(32 * (reader.SIDE // 16) ** 2, 128), nn.SiLU())
        self.identity, self.colours = nn.Linear(128, NUMBERS), nn.Linear(128, COLOURS)
        self.kinds = nn.ModuleDict({name: nn.Linear(128, len(words)) for name, words in KINDS.items()})
        self.parts = nn.Linear(128, len(PARTS))

    def forward(self, crops):
        seen = self.body(crops * 2 - 1)
        kinds = tuple(kind(seen) for kind in self.kinds.values())
        return F.normalize(self.identity(seen), dim=1), self.colours(seen), *kinds, self.parts(seen).sigmoid()


# --- training -----------------------------------------------------------------------------------------------


def varied(batch: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """(B, SIDE, SIDE, 3) uint8 to (B, 3, SIDE, SIDE): each crop moved, tinted and grained in its own way."""
    count, reach = len(batch), 4
    padded = np.pad(batch, ((0, 0), (reach, reach), (reach, reach), (0, 0)), "edge")
    moved = np.empty_like(batch)
    for row, (x, y) in enumerate(rng.integers(0, 2 * reach + 1, (count, 2))):
        moved[row] = padded[row, y : y + reader.SIDE, x : x + reader.SIDE]
    crops = torch.from_numpy(moved).permute(0, 3, 1, 2).float().div(255)
    contrast = torch.from_numpy(rng.uniform(0.9, 1.1, (count, 1, 1, 1))).float()
    tint = torch.from_numpy(rng.uniform(-0.035, 0.035, (count, 3, 1, 1))).float()
    grain = torch.from_numpy(
        rng.standard_normal(crops.shape, np.float32) * rng.uniform(0, 0.03, (count, 1, 1, 1))
    )
    return ((crops - 0.5) * contrast + 0.5 + tint + grain.float()).clamp(0, 1)


def contrast(embeddings: torch.Tensor) -> torch.Tensor:
    """Of pairs that lie one after the other: each must be nearest to its own."""
    alike = embeddings @ embeddings.T / TEMPERATURE
    alike = alike.masked_fill(torch.eye(len(alike), dtype=torch.bool, device=alike.device), float("-inf"))
    partner = torch.arange(len(alike), device=alike.device) ^ 1
    return F.cross_entropy(alike, partner)


def known_mean(losses: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return (losses * known).sum() / known.sum().clamp(min=1)


def loss_of(read: tuple, labels: torch.Tensor, paired: int) -> torch.Tensor:
    """Labels are NaN where nobody could say; the first ``paired`` rows are pairs."""
    known, labels = ~labels.isnan(), labels.nan_to_num()
    embedding, colours, *kinds, parts = (value.float() for value in read)
    loss = contrast(embedding[:paired])
    loss = loss + 4 * known_mean((colours - labels[:, :COLOURS]).abs(), known[:, :COLOURS])
    for column, logits in enumerate(kinds, start=COLOURS):
        losses = F.cross_entropy(logits, labels[:, column].long(), reduction="none")
        loss = loss + 0.4 * known_mean(losses, known[:, column])
    column = COLOURS + len(KINDS)
    losses = F.binary_cross_entropy(parts, labels[:, column:] * 0.98 + 0.01, reduction="none")
    return loss + 2 * known_mean(losses, known[:, column:])


def train(work: Path, plan: Plan, chosen: Device, data: dict, save_every: int = 25) -> Judge:
    judge = Judge().to(chosen.type, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=TOP_RATE, weight_decay=2e-2)
    file, parts = work / "judge.pt", {"judge": judge, "optimizer": optimizer}
    plan.start(load_checkpoint(file, **parts))
    (pairs, of_pairs), (breaks, of_breaks) = data["pairs"], data["broken"]
    while not plan.finished:
        rng = np.random.default_rng([17, plan.step])
        torch.manual_seed(plan.step)
        chosen_pairs = rng.choice(len(pairs) // 2, PAIRS, replace=False)
        rows = (2 * chosen_pairs[:, None] + [0, 1]).ravel()
        others = rng.choice(len(breaks), BROKEN, replace=False)
        batch = varied(np.concatenate([pairs[rows], breaks[others]]), rng)
        labels = torch.from_numpy(np.concatenate([of_pairs[rows], of_breaks[others]]))
        for group in optimizer.param_groups:
            group["lr"] = level_then_falling(plan, TOP_RATE, 60, 0.4)
        with chosen.autocast():
            read = judge(chosen.place(batch).contiguous(memory_format=torch.channels_last))
        with torch.autocast(chosen.type, enabled=False):
            loss = loss_of(read, chosen.place(labels), len(rows))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        plan.advance()
        if plan.step % save_every == 0 or plan.finished:
            save_checkpoint(file, plan.counters, **parts)
            log(f"judge step {plan.step}  loss {loss.item():.3f}  {plan.spent:.0f} s")
    return judge


# --- what it is worth ---------------------------------------------------------------------------------------


@torch.no_grad()
def readings(judge: Judge, batch: np.ndarray) -> tuple[np.ndarray, ...]:
    parts = torch.from_numpy(batch).permute(0, 3, 1, 2).float().div(255).split(500)
    read = [judge(part) for part in parts]
    return tuple(torch.cat(values).float().numpy() for values in zip(*read, strict=True))


def measure(judge: Judge, data: dict, rounds: int = 400) -> dict[str, float]:
    """Shares that are right on crops not trained on."""
    pairs, labels = data["pairs"]
    embedding, colours, *kinds, parts = readings(judge, pairs)
    found = {}
    for column, (name, logits) in enumerate(zip(KINDS, kinds, strict=True), start=COLOURS):
        found[name] = float((logits.argmax(1) == labels[:, column]).mean())
    for name, part in (("hair", slice(0, 3)), ("skin", slice(3, 6))):
        sure = ~np.isnan(labels[:, part]).any(1)
        apart = [
            reader.colours_apart(100 * a, 100 * b)
            for a, b in zip(colours[sure, part], labels[sure, part], strict=True)
        ]
        found[f"{name} colour"] = float((np.array(apart) <= reader.SAME_COLOUR).mean())
    rng, hits = random.Random(0), 0
    for _ in range(rounds):
        crowd = rng.sample(range(len(pairs) // 2), 20)
        seen, known = embedding[2 * crowd[0]], embedding[[2 * one + 1 for one in crowd]]
        hits += int(np.linalg.norm(known - seen, axis=1).argmin() == 0)
    found["identity"] = hits / rounds
    found["whole"] = float((parts.min(1) >= 0.5).mean())
    breaks, labels = data["broken"]
    *_, parts = readings(judge, breaks)
    broken = (labels[:, -len(PARTS) :] == 0).any(1)
    found["broken"] = float((parts[broken].min(1) < 0.5).mean())
    return {name: round(value, 3) for name, value in found.items()}


def halve(model: onnx.ModelProto) -> None:
    """Keep large weights in half precision; they become float32 again when the file is loaded."""
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 1000:
            name = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def export(judge: Judge, path: Path, accuracy: dict[str, float]) -> None:
    names = ["embedding", "colours", *KINDS, "whole"]
    torch.onnx.export(
        judge, (torch.zeros(2, 3, reader.SIDE, reader.SIDE),), path, input_names=["crops"],
        output_names=names, dynamic_shapes={"crops": {0: torch.export.Dim("batch")}},
        dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    model = onnx.load(path)
    for part in (model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]  # paths and stack traces of the machine that trained
    halve(model)
    onnx.helper.set_model_props(model, {"accuracy": json.dumps(accuracy)})
    onnx.save(model, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for the drawn crops and the checkpoint")
    parser.add_argument("--file", type=Path, default=reader.FILE, help="where the ONNX file goes")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="instead of the fastest that is there")
    args = parser.parse_args()
    first = crops.FIRST + crops.CHECKED
    checked = {kind: crops.load(args.work, kind, first, 500) for kind in ("pairs", "broken")}
    learned = {
        "pairs": crops.load(args.work, "pairs", crops.FIRST, crops.PAIRS),
        "broken": crops.load(args.work, "broken", crops.FIRST, crops.BROKEN),
    }
    log("crops drawn")
    judge = train(args.work, Plan(steps=STEPS), device.choose(args.device), learned).cpu().eval()
    accuracy = measure(judge, checked)
    export(judge, args.file, accuracy)
    log(f"{args.file}: {args.file.stat().st_size / 1e6:.1f} MB, right on what it never saw: {accuracy}")


if __name__ == "__main__":
    main()
