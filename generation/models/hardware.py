"""The hardware to compute with: device, number format and attention, chosen once in a process and logged.

Examining the hardware may start threads and initialise CUDA. After that, a process can't be forked. So the
template (see ``processes.fork_server``) lets a child examine it, and takes over the result with ``adopt``.
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
    xformers: bool  # False: PyTorch's own scaled-dot-product attention


def _xformers_runs() -> bool:
    """Whether xformers' operator runs here. It may be installed beside a torch that it isn't built for."""
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
    """The format that CPU_DTYPE names. With ``auto``: bfloat16 if this CPU has instructions for it, otherwise
    float32.

    The formats are not timed: each step of a picture is a process of its own, and all must choose the same
    format, however busy the machine is. Raises ValueError for another CPU_DTYPE.
    """
    name = os.environ.get("CPU_DTYPE") or "auto"
    if name in ("float32", "bfloat16"):
        return getattr(torch, name)
    if name != "auto":
        raise ValueError(f"CPU_DTYPE={name!r} is not one of auto, float32, bfloat16")
    # The torch of requirements-xformers.txt has no get_capabilities.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    able = any(capabilities.get(name) for name in _BFLOAT16_INSTRUCTIONS)
    return torch.bfloat16 if able else torch.float32


_chosen: dict[bool, Hardware] = {}


def choose(half_on_gpu: bool = True) -> Hardware:
    """On CUDA: float16, and xformers if it runs. On a CPU: the format of ``fast_cpu_dtype``."""
    if half_on_gpu not in _chosen:
        _chosen[half_on_gpu] = hardware = _look(half_on_gpu)
        attention = "xformers" if hardware.xformers else "PyTorch scaled-dot-product"
        log.info("device %s, %s, attention: %s", hardware.device, hardware.dtype, attention)
    return _chosen[half_on_gpu]


def adopt(hardware: Hardware, half_on_gpu: bool) -> None:
    """Take over the choice of another process of this machine."""
    _chosen[half_on_gpu] = hardware


def _look(half_on_gpu: bool) -> Hardware:
    if torch.cuda.is_available():
        return Hardware("cuda", torch.float16 if half_on_gpu else torch.float32, _xformers_runs())
    use_cores()
    return Hardware("cpu", fast_cpu_dtype(), False)


def use_cores() -> None:
    """Start a thread for each core that this process may use, or as many as OMP_NUM_THREADS says. After that,
    the process can't be forked.

    Beside other processes, fewer threads can be faster, since each parallel loop waits for its last thread.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(asked) if asked.isdecimal() and int(asked) else len(os.sched_getaffinity(0)))
