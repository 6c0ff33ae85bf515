"""The three networks that learn to paint together: UNet, ControlNet and text encoder."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from transformers import CLIPTokenizer

from generation.miniature.training import captions, family
from generation.miniature.training.device import Device

EMA = {"decay": 0.999, "use_ema_warmup": True, "inv_gamma": 1.0, "power": 0.75, "foreach": True}


class Trainee:
    """The networks on the device, with their optimizer and moving average."""

    def __init__(self, work: Path, device: Device):
        self.device = device
        folder = work / "tokenizer"
        if not (folder / "tokenizer_config.json").exists():
            # Only once: the text encoder's rows belong to one numbering of the words.
            captions.write_tokenizer(folder)
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.unet, self.controlnet = family.build_unet(), family.build_controlnet()
        silent = [*self.controlnet.controlnet_down_blocks, self.controlnet.controlnet_mid_block]
        for layer in [*silent, self.controlnet.controlnet_cond_embedding.conv_out]:
            torch.nn.init.normal_(layer.weight, std=0.03)  # zero protects a pretrained UNet; here is none
        torch.nn.init.constant_(self.unet.add_embedding.norm2.weight, 0.2)  # quieter than the time at first
        self.text_encoder = family.build_text_encoder(
            len(self.tokenizer), self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        )
        self.networks = torch.nn.ModuleDict(
            {"unet": self.unet, "controlnet": self.controlnet, "text_encoder": self.text_encoder}
        )
        if not device.is_gpu:  # plain attention: on a CPU its backward pass is faster than the fused one's
            for network in (self.unet, self.controlnet):
                network.set_attn_processor(AttnProcessor())
        self.networks.to(device.type, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            self.networks.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
        )
        self.reset_average()

    def parts(self) -> dict:
        return {"networks": self.networks, "optimizer": self.optimizer, "ema": self.ema}

    def to_device(self) -> None:
        """After a checkpoint, whose tensors come to the CPU."""
        self.ema.to(self.device.type)

    def reset_average(self) -> None:
        """Begin the moving average at the networks' weights."""
        self.ema = EMAModel(self.networks.parameters(), **EMA)

    def tokens(self, texts: list[str]) -> torch.Tensor:
        """(len(texts), 77) int16."""
        tokens = self.tokenizer(
            texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        )
        return tokens.input_ids.to(torch.int16)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, 77) to (B, 77, TEXT_WIDTH)."""
        return self.text_encoder(tokens.long())[0]

    def predict(self, noisy, extra, timesteps, words, skeletons, controlnet_scale: float = 1.0):
        """v (B, 4, h, w) of all samples; the first ``len(skeletons)`` go through the ControlNet too."""
        posed = len(skeletons)
        if not posed:
            return self.unet(torch.cat([noisy, extra], 1), timesteps, words, return_dict=False)[0]
        down, middle = self.controlnet(
            noisy[:posed], timesteps[:posed], encoder_hidden_states=words[:posed], controlnet_cond=skeletons,
            conditioning_scale=controlnet_scale, return_dict=False,
        )  # fmt: skip
        rest = len(noisy) - posed
        down = [torch.cat([d, d.new_zeros(rest, *d.shape[1:])]) for d in down]
        middle = torch.cat([middle, middle.new_zeros(rest, *middle.shape[1:])])
        return self.unet(
            torch.cat([noisy, extra], 1), timesteps, words, down_block_additional_residuals=down,
            mid_block_additional_residual=middle, return_dict=False,
        )[0]  # fmt: skip
