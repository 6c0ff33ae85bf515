"""The random family is Stable Diffusion 1.5's in all but its numbers: counts, names, files, tokens."""

import json

import pytest
import torch
from safetensors import safe_open
from transformers import CLIPTokenizer

from benchmarks import sd15_shaped
from generation.models import hub
from generation.models.profiles import SD15

# Parameters: of the UNet in diffusers' documentation of ModelMixin.num_parameters (859,520,964 for
# stable-diffusion-v1-5); five more input channels are 5 * 3 * 3 * 320 more. Of the text encoder as
# transformers counts openai/clip-vit-large-patch14's; of the VAE and the ControlNet as their model files
# hold (334.6 and 1,445 MB in float32). Tensors: as in the published safetensors files, less the text
# encoder's position_ids, which is no weight.
PUBLISHED = {
    "unet": (859_520_964, 686),
    "inpainting unet": (859_535_364, 686),
    "vae": (83_653_863, 248),
    "text encoder": (123_060_480, 196),
    "controlnet": (361_279_120, 340),
}
NAMES = {
    "unet": (
        "conv_in.weight",
        "time_embedding.linear_2.bias",
        "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k.weight",
        "mid_block.resnets.1.time_emb_proj.weight",
        "up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj.weight",
        "conv_norm_out.weight",
    ),
    "vae": ("encoder.mid_block.attentions.0.to_q.weight", "decoder.up_blocks.3.resnets.2.conv2.bias"),
    "text encoder": (
        "text_model.embeddings.position_embedding.weight",
        "text_model.encoder.layers.11.self_attn.q_proj.bias",
        "text_model.final_layer_norm.weight",
    ),
    "controlnet": ("controlnet_cond_embedding.blocks.5.weight", "controlnet_down_blocks.11.bias"),
}


@pytest.mark.parametrize("name", sd15_shaped.BUILDERS)
def test_as_many_parameters_and_tensors_as_published(name):
    network = sd15_shaped.shaped(name)
    assert all(parameter.is_meta for parameter in network.parameters())
    counted = (sum(parameter.numel() for parameter in network.parameters()), len(network.state_dict()))
    assert counted == PUBLISHED[name]
    written = {sd15_shaped.published_name(network, tensor) for tensor in network.state_dict()}
    assert written.issuperset(NAMES.get(name, ()))


def test_a_file_has_the_published_names_and_holds_numbers(tmp_path):
    network = sd15_shaped.shaped("text encoder")
    sd15_shaped.write_network(network, tmp_path / "text_encoder", "fp16", seed=1)
    with safe_open(tmp_path / "text_encoder" / "model.fp16.safetensors", "pt") as file:
        assert set(NAMES["text encoder"]) < set(file.keys())
        weights = file.get_tensor("text_model.encoder.layers.0.mlp.fc1.weight")
    assert weights.dtype == torch.float16 and weights.shape == (3072, 768)
    assert torch.isfinite(weights).all() and weights.std() > 0.01


def test_as_many_tokens_as_clip_has(tmp_path):
    sd15_shaped.write_tokenizer(tmp_path / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert len(tokenizer) == len(json.loads((tmp_path / "tokenizer/vocab.json").read_text())) == 49_408
    assert len(tokenizer.tokenize("photo of sks person")) == 4
    assert len(tokenizer("a word nobody knows: zxqv").input_ids) < 77


def test_a_whole_folder_has_the_files_that_are_asked_of_the_hub(tmp_path, monkeypatch):
    """With small weights in their place: what counts are the names."""
    few = {"weight": torch.zeros(1)}
    monkeypatch.setattr(sd15_shaped, "random_weights", lambda network, seed: few)
    sd15_shaped.write_family(tmp_path)
    for name, model in (
        ("inpaint", SD15.inpaint_model),
        ("detail", SD15.detail_model),
        ("training", SD15.training_model),
        ("controlnet", SD15.controlnet_model),
    ):
        assert all((tmp_path / name / file).is_file() for file in hub.files(model)), name
    assert not list(tmp_path.glob("*.part"))
