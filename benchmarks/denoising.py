"""Where the time of a step goes once its process is there: ``python -m benchmarks.denoising [--compile]``.

Seconds of CPU on one thread, the least of some runs, so that it can be measured beside other work. What might
be gained stands beside what it would change: the largest difference in the UNet's output.
"""

from __future__ import annotations

import copy
import os
import sys
import tempfile
import time
from pathlib import Path

RUNS = 5
ROW = "{:<46}{:>8.3f} s  {}"


def least_seconds(work) -> tuple[float, object]:
    times, result = [], None
    for _ in range(RUNS):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def tell(name: str, work, note: str = "") -> object:
    seconds, result = least_seconds(work)
    print(ROW.format(name, seconds, note))
    return result


def main() -> None:
    import torch

    from generation.models import hardware, pipelines
    from generation.models.profiles import get_profile

    torch.set_num_threads(1)
    profile, cache = get_profile(), pipelines.PipelineCache()
    hardware.adopt(hardware.Hardware("cpu", torch.float32, False), profile.half_on_gpu)
    cache.fetch("face", profile)
    pipeline = tell("pipeline, of parts that are loaded", lambda: cache.pipeline("face", profile))
    time_lora(pipeline, Path(profile.inpaint_model.id) / "unet")
    noise = torch.Generator().manual_seed(1)
    side = profile.face_resolution // pipeline.vae_scale_factor
    latents = torch.randn(2, pipeline.unet.config.in_channels, side, side, generator=noise)  # with guidance
    words = torch.randn(2, 77, pipeline.unet.config.cross_attention_dim, generator=noise)
    with torch.inference_mode():
        ids = torch.zeros(1, 77, dtype=torch.long)
        tell("text encoder, one prompt", lambda: pipeline.text_encoder(ids))
        picture = torch.zeros(1, 3, profile.face_resolution, profile.face_resolution)
        tell("VAE, encode", lambda: pipeline.vae.encode(picture))
        of_latents = latents[:1, :4].contiguous()
        tell("VAE, decode", lambda: pipeline.vae.decode(of_latents))
        time_unet(pipeline.unet, latents, words)


def time_lora(pipeline, unet: Path) -> None:
    from benchmarks.harness.small_models import make_lora
    from generation.models import pipelines

    with tempfile.TemporaryDirectory() as folder:
        lora = make_lora(unet, Path(folder, "lora.safetensors"), 16)

        def on_and_off() -> None:
            pipelines.apply_lora(pipeline, lora, 1.0)
            pipelines.remove_lora(pipeline)

        tell("LoRA of rank 16, on and off", on_and_off)


def time_unet(unet, latents, words) -> None:
    """One step as it is, and in other ways, each with how far its output differs."""
    import torch

    from generation.models import hardware

    as_it_is = tell("UNet, one step, guidance in one batch", lambda: unet(latents, 10, words).sample)

    def in_two() -> torch.Tensor:
        return torch.cat([unet(latents[i : i + 1], 10, words[i : i + 1]).sample for i in range(2)])

    def channels_last() -> torch.Tensor:
        return unet.to(memory_format=torch.channels_last)(latents, 10, words).sample

    variants = {"guidance in two passes": in_two, "channels_last": channels_last}
    if hardware.fast_cpu_dtype() == torch.bfloat16:
        half = copy.deepcopy(unet).bfloat16()
        variants["bfloat16"] = lambda: half(latents.bfloat16(), 10, words.bfloat16()).sample
    if "--compile" in sys.argv:
        compiled, began = torch.compile(copy.deepcopy(unet)), time.perf_counter()
        compiled(latents, 10, words)
        seconds = time.perf_counter() - began
        print(ROW.format("UNet, torch.compile, the first call", seconds, "by the clock"))
        variants["torch.compile"] = lambda: compiled(latents, 10, words).sample
    for name, work in variants.items():
        seconds, result = least_seconds(work)
        difference = float((result - as_it_is).abs().max())
        print(ROW.format(f"UNet, {name}", seconds, f"differs by {difference:.1e}"))


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
