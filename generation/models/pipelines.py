"""Makes the diffusers pipelines of pose, detail, harmonize and face from a profile.

A pipeline is put together from parts (UNet, VAE, text encoder, ...) in a ``PipelineCache``. A process that
does one step has a cache for that step. The template has a cache that stays, so all steps share its parts.
"""

from __future__ import annotations

import ctypes
import filecmp
import gc
import json
import logging
import math
import time
from pathlib import Path

import diffusers
import torch
import tqdm
import transformers
from diffusers import (
    ControlNetModel,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    StableDiffusionInpaintPipeline,
)
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from generation.models import gpu_memory, hardware, hub, lora_fit
from generation.models.profiles import ModelProfile, ModelRef
from generation.step_table import STEPS

LORA_ADAPTER = "visitor"
IMPORTED_AT = time.monotonic()  # the same clock in all processes of a machine
log = logging.getLogger(__name__)

tqdm.tqdm.monitor_interval = 0  # no thread that watches progress bars: a template can't have one
for _library in (diffusers_logging, transformers_logging):
    _library.disable_progress_bar()
    _library.set_verbosity_error()  # a VAE of another class than Stable Diffusion's is no mistake here


class ModelMissing(RuntimeError):
    """A model's folder is missing or can't be read, or not all of it has been fetched from the Hub."""


# The safety checker judges finished pictures; inside a step it would black out a picture that is pasted back.
_NO_CHECKER = {"safety_checker": None, "requires_safety_checker": False}
_PARTS = ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}


class PipelineCache:
    """Parts of models in memory, shared by all pipelines that need them.

    Above ``budget_mb`` (MiB of parameters) the least recently used parts are dropped, but never parts that
    the current step needs. While a model is being loaded, the budget can be exceeded by that model.
    """

    def __init__(self, budget_mb: float = math.inf):
        self.budget_mb = budget_mb
        self.parts: dict[tuple[ModelRef, str], object] = {}  # the least recently used first

    def pipeline(self, name: str, profile: ModelProfile) -> DiffusionPipeline:
        """The pipeline of step ``name``, on its device and in the number format that is fast there. It has no
        LoRA: see ``apply_lora``."""
        machine, parts = hardware.choose(profile.half_on_gpu), self.fetch(name, profile)
        for part in parts.values():
            if isinstance(part, torch.nn.Module):
                part.to(machine.dtype)
        pipeline = getattr(diffusers, STEPS[name].pipeline)(**parts, feature_extractor=None, **_NO_CHECKER)
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        gpu_memory.place(pipeline, profile, machine)
        if machine.xformers:
            pipeline.enable_xformers_memory_efficient_attention()
        return pipeline

    def fetch(self, name: str, profile: ModelProfile) -> dict[str, object]:
        """The parts of step ``name``'s pipeline. New parts are mapped from their files, in the files' number
        format, so the kernel can drop their pages and read them again. Raises ModelMissing."""
        step = STEPS[name]
        parts = {part: self._part(getattr(profile, step.model), part) for part in _PARTS}
        if step.controlnet:
            key = (profile.controlnet_model, "controlnet")
            if key not in self.parts:
                self.parts[key] = _load_controlnet(profile.controlnet_model)
            parts["controlnet"] = self.parts[key]
        for key in [key for key, part in self.parts.items() if any(part is used for used in parts.values())]:
            self.parts[key] = self.parts.pop(key)  # to the end: the most recently used
        self._shrink({id(part) for part in parts.values()})
        return parts

    def megabytes(self) -> float:
        unique = {id(part): part for part in self.parts.values() if isinstance(part, torch.nn.Module)}
        weights = [tensor for part in unique.values() for tensor in part.state_dict().values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in weights) / 2**20

    def _part(self, model: ModelRef, name: str) -> object:
        """One part of a model. If another model's part has the same files and is loaded, that one is used."""
        if (model, name) not in self.parts:
            folder = _folder_of(model)
            others = {other: part for (other, of), part in self.parts.items() if of == name}
            twins = (
                part for other, part in others.items() if _same_files(_folder_of(other) / name, folder / name)
            )
            self.parts[model, name] = next(twins, None) or _load_part(folder, name)
        return self.parts[model, name]

    def _shrink(self, needed: set[int]) -> None:
        before = len(self.parts)
        for key in [key for key, part in self.parts.items() if id(part) not in needed]:
            if self.megabytes() <= self.budget_mb:
                break
            del self.parts[key]
        if len(self.parts) < before:
            log.info(
                "%d parts of models dropped, %.0f MB stay loaded", before - len(self.parts), self.megabytes()
            )
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # glibc would keep what was freed in small pieces


def _same_files(one: Path, other: Path) -> bool:
    names = [sorted(path.name for path in folder.glob("*")) for folder in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / n, other / n, shallow=False) for n in names[0])


def _folder_of(model: ModelRef) -> Path:
    if folder := hub.folder(model):
        return folder
    raise ModelMissing(hub.problem(model))


def _load_part(folder: Path, name: str) -> object:
    """Load a part with the class that the folder's index names. ``from_pretrained`` of the whole pipeline
    would import much that no step needs, such as onnxruntime and its threads."""
    try:
        library, class_name = json.loads((folder / "model_index.json").read_text())[name]
        part_class = getattr(_LIBRARIES[library], class_name)
        if name in ("tokenizer", "scheduler"):
            return part_class.from_pretrained(folder, subfolder=name)
        return part_class.from_pretrained(folder, subfolder=name, **_as_stored(folder / name))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise _missing(f"{folder}: {name}", error) from error


def _load_controlnet(model: ModelRef) -> ControlNetModel:
    folder = _folder_of(model)
    try:
        return ControlNetModel.from_pretrained(folder, **_as_stored(folder))
    except (OSError, ValueError) as error:
        raise _missing(str(model), error) from error


def load_safety_checker(folder: Path, machine: hardware.Hardware) -> tuple:
    """The safety checker and its feature extractor from a folder, on the device. Raises ModelMissing."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    variant = _variant(folder / "safety_checker")
    try:
        checker = StableDiffusionSafetyChecker.from_pretrained(
            folder, subfolder="safety_checker", dtype=machine.dtype, variant=variant, use_safetensors=True
        )
        extractor = transformers.CLIPImageProcessor.from_pretrained(folder, subfolder="feature_extractor")
    except (OSError, ValueError) as error:
        raise _missing(f"{folder}: safety_checker", error) from error
    return checker.to(machine.device), extractor


def _as_stored(folder: Path) -> dict:
    """The arguments with which ``from_pretrained`` reads the folder's safetensors in their own number
    format."""
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise OSError(f"no safetensors in {folder}")
    try:
        with safe_open(paths[0], framework="pt") as file:
            dtypes = [file.get_tensor(name).dtype for name in file.keys()]  # noqa: SIM118 (it is no dict)
    except SafetensorError as error:
        raise OSError(f"{paths[0].name}: {error}") from error
    dtype = next((dtype for dtype in dtypes if dtype.is_floating_point), torch.float32)
    return {"dtype": dtype, "variant": _variant(folder), "use_safetensors": True}


def _variant(folder: Path) -> str | None:
    """The variant to load: fp16 if the folder has no other files."""
    names = [path.name for path in folder.glob("*.safetensors")]
    return "fp16" if names and all(".fp16." in name for name in names) else None


def _missing(what: str, error: Exception) -> ModelMissing:
    return ModelMissing(f"the model {what} could not be loaded: {hub.first_line(error)}")


def apply_lora(pipeline: StableDiffusionInpaintPipeline, path: Path, scale: float) -> None:
    """Put a LoRA's layers into the pipeline, in memory; ``scale`` 0 (no effect) to 1 (as trained)."""
    pipeline.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=LORA_ADAPTER)
    _set_alphas(pipeline, path)
    pipeline.set_adapters([LORA_ADAPTER], adapter_weights=[scale])


def _set_alphas(pipeline: StableDiffusionInpaintPipeline, path: Path) -> None:
    """Give each layer the alpha that the file has for it. Without an alpha in the file, it is the layer's
    rank.

    diffusers looks for most layers' alphas under wrong names, and gives those layers the commonest alpha.
    """
    from peft.tuners.lora import LoraLayer

    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.endswith(".alpha")]  # noqa: SIM118 (it is no dict)
        alphas = {name.removesuffix(".alpha"): file.get_tensor(name).item() for name in names}
    for part in lora_fit.PARTS:
        for name, layer in getattr(pipeline, part).named_modules():
            if isinstance(layer, LoraLayer) and LORA_ADAPTER in layer.r:
                rank = layer.r[LORA_ADAPTER]
                layer.lora_alpha[LORA_ADAPTER] = alphas.get(lora_fit.layer_name(part, name), rank)


def remove_lora(pipeline: StableDiffusionInpaintPipeline) -> None:
    """Take a LoRA's layers, if any, out of the pipeline's parts. The parts' own weights never changed."""
    if getattr(pipeline.unet, "peft_config", None):
        pipeline.unload_lora_weights()
