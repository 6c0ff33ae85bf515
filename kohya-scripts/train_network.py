#!/usr/bin/env python3
"""Train a LoRA of a Stable Diffusion 1.x shaped model on a few photographs.

Command line, folder rule, file format and metadata are those of kohya's train_network.py, for the options
in options.py; an option that isn't there is an error. The model is a folder in diffusers' layout or a Hub id.
A UNet of 4 channels learns the pictures; one of 9 channels (inpainting) learns to fill holes in them.

Progress is one JSON object per line on stdout, at most two a second; everything else goes to stderr. The
exit status is 0, or 1 with the reason on stderr's last line, or 2 for wrong options. Knows nothing of jobs,
servers or databases.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

from options import parse_arguments
from pictures import TrainingError, find_pictures

PARENT = os.getppid()


def die_with_parent() -> None:
    """Linux: let the kernel end us when the shell that started us is gone, however it went."""
    if sys.platform == "linux":
        set_death_signal = 1  # PR_SET_PDEATHSIG in prctl.h
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)
        if os.getppid() != PARENT:
            sys.exit("error: the parent process ended")


def main(argv: list[str] | None = None) -> int:
    die_with_parent()
    args = parse_arguments(__doc__.splitlines()[0], argv)
    try:
        pictures = find_pictures(args)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    begun = time.monotonic()
    import lora_training  # torch takes seconds, which bad options and photos needn't wait for

    return lora_training.run(args, pictures, time.monotonic() - begun)


if __name__ == "__main__":
    sys.exit(main())
