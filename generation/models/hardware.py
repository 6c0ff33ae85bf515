"""The hardware to compute with: device, number format and attention, chosen once in a process and logged.

Examining the hardware may start threads and initialise CUDA, after which a process can't be forked. So a
template lets a child do it, and takes the result over with ``adopt``.
"""

from __future__ import annotations

import logging
import os
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
    except Exception as error:  # its import and its kernels fail in many ways
        log.debug("xformers does not run here: %s", error)
        return False
    return True


# Instructions that multiply bfloat16; without them it is a hundred times slower than float32. Measured: with
# AMX 2,035 GFLOP/s instead of 262; with AVX-512 BF16 (Zen 4) a miniature's picture in 0.75 of the time.
_BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")


def fast_cpu_dtype() -> torch.dtype:
    """CPU_DTYPE (float32 or bfloat16), else bfloat16 where this CPU has instructions for it, else float32.

    Not timed: the steps of a picture are processes of their own, which must choose alike however busy the
    machine is. Raises ValueError for another CPU_DTYPE.
    """
    name = os.environ.get("CPU_DTYPE") or "auto"
    if name in ("float32", "bfloat16"):
        return getattr(torch, name)
    if name != "auto":
        raise ValueError(f"CPU_DTYPE={name!r} is not one of auto, float32, bfloat16")
    # The torch of requirements-xformers.txt doesn't tell.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    able = any(capabilities.get(name) for name in _BFLOAT16_INSTRUCTIONS)
    return torch.bfloat16 if able else torch.float32


_chosen: dict[bool, Hardware] = {}


def choose(half_on_gpu: bool = True) -> Hardware:
    """CUDA, float16, xformers where it runs; else the CPU, bfloat16 where that is fast, else float32."""
    if half_on_gpu not in _chosen:
        _chosen[half_on_gpu] = hardware = _look(half_on_gpu)
        attention = "xformers" if hardware.xformers else "PyTorch scaled-dot-product"
        log.info("device %s, %s, attention: %s", hardware.device, hardware.dtype, attention)
    return _chosen[half_on_gpu]


def adopt(hardware: Hardware, half_on_gpu: bool) -> None:
    """Take over what another process of this machine has chosen."""
    _chosen[half_on_gpu] = hardware


def _look(half_on_gpu: bool) -> Hardware:
    if torch.cuda.is_available():
        return Hardware("cuda", torch.float16 if half_on_gpu else torch.float32, _xformers_runs())
    use_all_cores()
    return Hardware("cpu", fast_cpu_dtype(), False)


def use_all_cores() -> None:
    """As many threads as this process may use cores. After this, it can't be forked any more."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
