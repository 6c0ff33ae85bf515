"""A LoRA of another trainer: each layer has its own alpha, rank and kernel, or no alpha."""

import random

import torch
from safetensors.torch import save_file

from generation.models import lora_fit, pipelines
from generation.models.profiles import MINIATURE


def a_foreign_lora(path) -> dict[str, torch.Tensor]:
    """For every layer that the miniature has."""
    chosen, numbers, tensors = random.Random(3), torch.Generator().manual_seed(3), {}
    for name, (out, *into) in lora_fit.layers_of(MINIATURE.inpaint_model).items():
        rank, alpha = chosen.choice([2, 4, 8]), chosen.choice([None, 1.0, 4.0, 8.0, 16.0])
        kernel = [1] * len(into[1:])
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, *into, generator=numbers)
        tensors[f"{name}.lora_up.weight"] = torch.randn(out, rank, *kernel, generator=numbers)
        if alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path)
    return tensors


def test_each_layer_of_a_foreign_lora_acts_at_its_own_strength(tmp_path):
    tensors = a_foreign_lora(tmp_path / "lora.safetensors")
    pipeline = pipelines.PipelineCache().pipeline("face", MINIATURE)
    pipelines.apply_lora(pipeline, tmp_path / "lora.safetensors", scale=0.5)
    done = set()
    for part in lora_fit.PARTS:
        for module, layer in getattr(pipeline, part).named_modules():
            if not hasattr(layer, "lora_A"):
                continue
            name = lora_fit.layer_name(part, module)
            down, up = (tensors[f"{name}.lora_{which}.weight"] for which in ("down", "up"))
            alpha = tensors.get(f"{name}.alpha", torch.tensor(float(len(down))))
            wanted = 0.5 * alpha / len(down) * torch.einsum("or,ri...->oi...", up.flatten(1), down)
            given = layer.get_delta_weight(pipelines.LORA_ADAPTER).float()
            assert torch.allclose(given, wanted, rtol=0.05, atol=0.1), name
            done.add(name)
    assert done == {name.split(".")[0] for name in tensors}
