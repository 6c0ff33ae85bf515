"""Trains the bodies' restoration: ``python -m generation.miniature.training.train_body_restoration WORK``.

As ``train_restoration`` does for heads. Writes detector_models/body_restoration.safetensors.
"""

from __future__ import annotations

import functools

from generation.miniature import restoration
from generation.miniature.training.painter import train_command
from generation.miniature.training.train_restoration import BODY, train

if __name__ == "__main__":
    train_command(__doc__, functools.partial(train, task=BODY), restoration.BODY_FILE, minutes=70)
