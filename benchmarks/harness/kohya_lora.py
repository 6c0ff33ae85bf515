"""What a LoRA of Stable Diffusion 1.5 is in kohya's format: every tensor's name and shape, and the metadata.

The tensors are worked out from what kohya's networks/lora.py adapts: every linear layer and 1x1 convolution
inside Transformer2DModel, and inside the text encoder's CLIPAttention and CLIPMLP. Of the metadata, these are
the keys that apply to a training like ours, named as kohya's train_network.py names them.
"""

RANK = 32
_METADATA = (
    "ss_base_model_version ss_bucket_no_upscale ss_cache_latents ss_dataset_dirs ss_debiased_estimation "
    "ss_enable_bucket ss_epoch ss_gradient_checkpointing ss_learning_rate ss_lr_scheduler ss_lr_warmup_steps "
    "ss_max_grad_norm ss_max_train_steps ss_min_snr_gamma ss_mixed_precision ss_network_alpha ss_network_dim "
    "ss_network_module ss_noise_offset ss_num_batches_per_epoch ss_num_train_images ss_optimizer "
    "ss_output_name ss_resolution ss_sd_model_name ss_seed ss_steps ss_text_encoder_lr ss_total_batch_size "
    "ss_training_finished_at ss_training_started_at ss_unet_lr ss_v2 ss_sd_model_hash ss_new_sd_model_hash "
    "sshs_model_hash sshs_legacy_hash modelspec.sai_model_spec modelspec.architecture "
    "modelspec.implementation modelspec.title modelspec.resolution modelspec.date modelspec.prediction_type"
)
METADATA = frozenset(_METADATA.split())


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
