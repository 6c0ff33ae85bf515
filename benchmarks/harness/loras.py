"""LoRAs of one layer, which fit the miniature."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save

LAYER = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
WIDTH, RANK = 96, 4


def small_lora(metadata: dict[str, str] | None = None, **changes: np.ndarray) -> bytes:
    """``changes``: other tensors, or more."""
    tensors = {
        f"{LAYER}.lora_down.weight": np.ones((RANK, WIDTH), np.float16),
        f"{LAYER}.lora_up.weight": np.ones((WIDTH, RANK), np.float16),
        f"{LAYER}.alpha": np.array(RANK, np.float16),
    }
    return save(tensors | changes, metadata)
