"""Where the miniature is trained: on CUDA if there is a GPU, else on the CPU; and how it computes there."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import torch

from generation.miniature.training.checkpoints import log
from generation.models import hardware


@dataclass(frozen=True)
class Device:
    """``dtype`` is of the products (autocast); weights, sums and optimizer stay float32."""

    type: str
    dtype: torch.dtype

    @property
    def is_gpu(self) -> bool:
        return self.type == "cuda"

    def autocast(self):
        """Without the cache of rounded weights, which a CUDA graph can't hold; each is used once anyhow."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.type, self.dtype, cache_enabled=False)

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor on the device. The GPU is not waited for, so the next step can be prepared meanwhile."""
        return tensor.to(self.type, non_blocking=True)

    def describe(self) -> str:
        if not self.is_gpu:
            return f"CPU, {torch.get_num_threads()} threads, products in {self.dtype}"
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, products in {self.dtype}"


def choose(name: str | None = None) -> Device:
    """``name``: "cuda" or "cpu"; without it the GPU if there is one. Every core that this process may use."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    if (name or ("cuda" if torch.cuda.is_available() else "cpu")) == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        # Its backward pass gives NaN for 64 tokens, the coarsest level's (PyTorch 2.11 on an H100).
        torch.backends.cuda.enable_cudnn_sdp(False)
        device = Device("cuda", torch.bfloat16)
    else:
        device = Device("cpu", hardware.fast_cpu_dtype())
    log(f"torch {torch.__version__}, {device.describe()}")
    return device
