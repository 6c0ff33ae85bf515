"""A LoRA of Stable Diffusion 1.5 as our trainer lays it out: every tensor's name and shape as kohya's.

The networks are of the real shapes, without memory for their weights; the list is in ``kohya_lora``.
"""

import sys

import pytest

from benchmarks import sd15_shaped
from benchmarks.harness import ROOT
from benchmarks.harness.kohya_lora import RANK, kohyas_tensors

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def trainer():
    """The trainer's modules lie in a folder of scripts, which is no package."""
    scripts = str(ROOT / "kohya-scripts")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(scripts)
        before = set(sys.modules)
        import train_network

        yield train_network
    for name, module in list(sys.modules.items()):
        if name not in before and str(getattr(module, "__file__", "")).startswith(scripts):
            del sys.modules[name]


def test_every_tensor_has_kohyas_name_and_shape(trainer):
    model = trainer.Model(
        tokenizer=None,
        text_encoder=sd15_shaped.shaped("text encoder"),
        vae=None,
        unet=sd15_shaped.shaped("unet"),
        scheduler=None,
        device="cpu",
        dtype=trainer.torch.float32,
    )
    network = trainer.attach_lora(model, RANK, 16, text_encoder=True, seed=1)
    groups = trainer.parameter_groups(network, unet_lr=1e-4, text_encoder_lr=5e-5)
    assert len([name for name in network if name.startswith("lora_unet")]) == 192
    assert len([name for name in network if name.startswith("lora_te")]) == 72
    assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == kohyas_tensors()
    assert [len(group["params"]) for group in groups] == [2 * 192, 2 * 72]
