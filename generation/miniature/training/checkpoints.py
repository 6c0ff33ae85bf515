"""What the two training commands of the miniature share: log, checkpoints that survive a kill."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch


def log(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def start(work: Path) -> None:
    """Make the work folder, seed torch, use every core that this process may (``taskset``)."""
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    log(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


def restart_safe_save(path: Path, step: int, **parts) -> None:
    """Write the state of ``parts`` (what has a ``state_dict``) aside, then rename: never half a file."""
    aside = path.with_suffix(".tmp")
    torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, aside)
    os.replace(aside, path)


def load_checkpoint(path: Path, **parts) -> int | None:
    """Load what ``restart_safe_save`` wrote into ``parts``; the step reached, None without a checkpoint."""
    if not path.exists():
        return None
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    log(f"going on from step {state['step']} of {path.name}")
    return state["step"]
