"""What there is to compute with: device, number format and attention, chosen once and logged.

Measuring starts threads and may touch CUDA, after which a process can't be forked: a template has it measured
in a child and takes the result over with ``adopt``.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass

import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hardware:
    device: str
    dtype: torch.dtype
    xformers: bool  # else PyTorch's own scaled-dot-product attention


def _xformers_runs() -> bool:
    """Whether xformers' operator really runs here; it may be installed beside a torch it isn't built for."""
    try:
        from xformers.ops import memory_efficient_attention

        probe = torch.zeros(1, 8, 1, 8, device="cuda", dtype=torch.float16)
        memory_efficient_attention(probe, probe, probe)
    except (
        Exception
    ) as error:  # its import and its kernels fail in many ways, none of them ours to tell apart
        log.debug("xformers does not run here: %s", error)
        return False
    return True


def _seconds(dtype: torch.dtype) -> float:
    """Seconds for a convolution and a product of the sizes that a small UNet has; best of three."""
    picture = torch.ones(1, 64, 32, 32, dtype=dtype)
    kernel = torch.ones(64, 64, 3, 3, dtype=dtype)
    matrix = torch.ones(256, 256, dtype=dtype)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        torch.nn.functional.conv2d(picture, kernel, padding=1)
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    return best


def fast_cpu_dtype() -> torch.dtype:
    """bfloat16 where this CPU computes it at least half again as fast as float32 (AMX), else float32."""
    with torch.inference_mode():
        return torch.bfloat16 if _seconds(torch.float32) > 1.5 * _seconds(torch.bfloat16) else torch.float32


_chosen: dict[bool, Hardware] = {}


def choose(half_on_gpu: bool = True) -> Hardware:
    """CUDA, float16, xformers where it runs; else the CPU, float32 unless bfloat16 is measured faster."""
    if half_on_gpu not in _chosen:
        _chosen[half_on_gpu] = hardware = _measured(half_on_gpu)
        attention = "xformers" if hardware.xformers else "PyTorch scaled-dot-product"
        log.info("device %s, %s, attention: %s", hardware.device, hardware.dtype, attention)
    return _chosen[half_on_gpu]


def adopt(hardware: Hardware, half_on_gpu: bool) -> None:
    """Take over what another process of this machine has chosen."""
    _chosen[half_on_gpu] = hardware


def _measured(half_on_gpu: bool) -> Hardware:
    if torch.cuda.is_available():
        return Hardware("cuda", torch.float16 if half_on_gpu else torch.float32, _xformers_runs())
    use_all_cores()
    return Hardware("cpu", fast_cpu_dtype(), False)


def use_all_cores() -> None:
    """As many threads as this process may use cores. After this, it can't be forked any more."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
