"""A trainer that only waits. It reads the options of kohya's, goes on from a checkpoint, and leaves a LoRA
that fits the miniature."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path

from benchmarks.harness.loras import small_lora

STEPS, STEPS_OF_A_CHECKPOINT = 20, 5


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--output_dir", type=Path)
    parser.add_argument("--output_name")
    parser.add_argument("--resume", type=Path)
    args, _ = parser.parse_known_args()
    done = int((args.resume / "state.pt").read_text()) if args.resume else 0
    pause = json.loads(os.environ["SIMULATED_SECONDS"])["train"] / STEPS
    while done < STEPS:
        time.sleep(pause)
        done += 1
        print(json.dumps({"step": "train", "done": done, "of": STEPS}), flush=True)
        if done % STEPS_OF_A_CHECKPOINT == 0:
            save(args.output_dir / f"{args.output_name}-step{done:08}-state", done)
    leave(small_lora(), args.output_dir / f"{args.output_name}.safetensors")


def save(folder: Path, done: int) -> None:
    """As the trainer does: the newest one alone is kept."""
    older = list(folder.parent.glob("*-state"))
    folder.mkdir(exist_ok=True)
    leave(str(done).encode(), folder / "state.pt")
    for one in older:
        shutil.rmtree(one)


def leave(content: bytes, path: Path) -> None:
    aside = path.with_suffix(".part")
    aside.write_bytes(content)
    aside.rename(path)


if __name__ == "__main__":
    main()
