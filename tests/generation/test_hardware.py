"""On a CPU: the number format and the number of threads, and whose choice they are."""

import os

import pytest
import torch

from generation.models import hardware


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx2": True}, torch.float32),
        ({"avx2": True, "avx512_f": True, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_the_processors_instructions_decide_the_number_format(capabilities, dtype, monkeypatch):
    monkeypatch.delenv("CPU_DTYPE", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert hardware.fast_cpu_dtype() == dtype


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_the_setting_decides_before_the_processors_instructions(name, monkeypatch):
    monkeypatch.setenv("CPU_DTYPE", name)
    assert hardware.fast_cpu_dtype() == getattr(torch, name)


def test_an_unknown_number_format_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("CPU_DTYPE", "float64")
    with pytest.raises(ValueError, match="CPU_DTYPE='float64' is not one of auto, float32, bfloat16"):
        hardware.fast_cpu_dtype()


@pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("", None), ("0", None), ("many", None)])
def test_as_many_threads_as_the_environment_asks_for_else_one_for_each_core(asked, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    before = torch.get_num_threads()
    try:
        hardware.use_cores()
        assert torch.get_num_threads() == (threads or len(os.sched_getaffinity(0)))
    finally:
        torch.set_num_threads(before)
