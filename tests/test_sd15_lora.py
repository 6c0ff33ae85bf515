"""A LoRA of Stable Diffusion 1.5 as our trainer lays it out: every tensor's name and shape as kohya's.

The networks are of the real shapes, without memory for their weights; the list is worked out here from what
kohya's networks/lora.py adapts: every linear layer and 1x1 convolution inside Transformer2DModel, and inside
the text encoder's CLIPAttention and CLIPMLP.
"""

import argparse
import sys
from pathlib import Path

import pytest

from benchmarks import sd15_shaped

RANK = 32


@pytest.fixture(scope="module")
def trainer():
    """The trainer's modules lie in a folder of scripts, which is no package."""
    scripts = str(Path(__file__).resolve().parent.parent / "kohya-scripts")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(scripts)
        import lora_training

        yield lora_training
    for name in ("lora_training", "pictures"):
        sys.modules.pop(name, None)


def kohyas_tensors() -> dict[str, tuple[int, ...]]:
    layers = {}
    blocks = [(f"down_blocks_{k}", width, 2) for k, width in enumerate((320, 640, 1280))]
    blocks += [("mid_block", 1280, 1)]
    blocks += [(f"up_blocks_{k}", width, 3) for k, width in ((1, 1280), (2, 640), (3, 320))]
    for block, width, attentions in blocks:
        for k in range(attentions):
            outer = f"lora_unet_{block}_attentions_{k}"
            inner = f"{outer}_transformer_blocks_0"
            layers[f"{outer}_proj_in"] = layers[f"{outer}_proj_out"] = (width, width, 1, 1)
            for attention, words in (("attn1", width), ("attn2", 768)):
                layers[f"{inner}_{attention}_to_q"] = (width, width)
                layers[f"{inner}_{attention}_to_k"] = layers[f"{inner}_{attention}_to_v"] = (width, words)
                layers[f"{inner}_{attention}_to_out_0"] = (width, width)
            layers[f"{inner}_ff_net_0_proj"] = (8 * width, width)
            layers[f"{inner}_ff_net_2"] = (width, 4 * width)
    for k in range(12):
        outer = f"lora_te_text_model_encoder_layers_{k}"
        for name in ("q", "k", "v", "out"):
            layers[f"{outer}_self_attn_{name}_proj"] = (768, 768)
        layers[f"{outer}_mlp_fc1"], layers[f"{outer}_mlp_fc2"] = (3072, 768), (768, 3072)
    tensors = {}
    for layer, (out, into, *kernel) in layers.items():
        tensors[f"{layer}.lora_down.weight"] = (RANK, into, *kernel)
        tensors[f"{layer}.lora_up.weight"] = (out, RANK, *kernel)
        tensors[f"{layer}.alpha"] = ()
    return tensors


def test_every_tensor_has_kohyas_name_and_shape(trainer):
    args = argparse.Namespace(
        network_dim=RANK, network_alpha=16, unet_lr=1e-4, text_encoder_lr=5e-5, train_text_encoder=True
    )
    model = trainer.Model(
        tokenizer=None,
        text_encoder=sd15_shaped.shaped("text encoder"),
        vae=None,
        unet=sd15_shaped.shaped("unet"),
        scheduler=None,
        device="cpu",
        dtype=trainer.torch.float32,
    )
    network, groups = trainer.attach_lora(model, args, seed=1)
    assert len([name for name in network if name.startswith("lora_unet")]) == 192
    assert len([name for name in network if name.startswith("lora_te")]) == 72
    assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == kohyas_tensors()
    assert [len(group["params"]) for group in groups] == [2 * 192, 2 * 72]
