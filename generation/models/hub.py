"""The files of a profile's models: in a local folder, or in the Hugging Face Hub's cache at a pinned commit.

The Hub's cache names each file by the hash of its content (SHA-256 of a large file, git's SHA-1 of a small
file). So the files can be verified without a list of hashes in this repository. Imports no torch.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from generation.models.profiles import ModelProfile, ModelRef

FETCH = "manage.py models --fetch"
_SPARE_MB = 512  # must stay free on the disk after a download
_LICENCES = {
    "stable-diffusion-v1-5/stable-diffusion-inpainting": "CreativeML OpenRAIL-M",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "CreativeML OpenRAIL-M",
    "lllyasviel/control_v11p_sd15_openpose": "CreativeML OpenRAIL-M",
    "dreamlike-art/dreamlike-photoreal-2.0": "its own, which limits commercial use",
}


class ModelError(Exception):
    """A model can't be fetched, or its files are not those that were asked for. The text says what to do."""


def needed(profile: ModelProfile) -> dict[ModelRef, str]:
    """The profile's models, each with its uses in words."""
    uses: dict[ModelRef, list[str]] = {}
    for use in ("inpaint", "controlnet", "detail", "training"):
        uses.setdefault(getattr(profile, f"{use}_model"), []).append(use)
    if profile.safety_model and profile.safety_check == "required":
        uses[profile.safety_model] = ["safety check"]
    return {model: ", ".join(names) for model, names in uses.items()}


def licence(model: ModelRef) -> str:
    return _LICENCES.get(model.id, "the folder's own" if model.is_local else "see its page on the Hub")


def files(model: ModelRef) -> list[str]:
    """The files that Cartolina uses of a model on the Hub, relative to the model's folder."""
    end = f".{model.variant}.safetensors" if model.variant else ".safetensors"
    network = ["config.json", f"diffusion_pytorch_model{end}"]
    if model.kind == "controlnet":
        return network
    if model.kind == "safety":
        checker = [f"safety_checker/{name}" for name in ("config.json", f"model{end}")]
        return [*checker, "feature_extractor/preprocessor_config.json"]
    return [
        *("model_index.json", "scheduler/scheduler_config.json"),
        *(f"tokenizer/{name}" for name in ("vocab.json", "merges.txt", "tokenizer_config.json")),
        *("text_encoder/config.json", f"text_encoder/model{end}"),
        *(f"{part}/{name}" for part in ("vae", "unet") for name in network),
    ]


def folder(model: ModelRef) -> Path | None:
    """The model's folder on this machine; None if one of its files is missing. Asks no server."""
    if model.is_local:
        return Path(model.id) if Path(model.id).is_dir() else None
    names = files(model)
    found = [_cached(model, name) for name in names]
    return found[0].parents[names[0].count("/")] if all(found) else None


def problem(model: ModelRef) -> str | None:
    """A sentence that names the missing model and says what to do; None if the model is there."""
    if folder(model):
        return None
    if model.is_local:
        return f"The model folder {model.id} does not exist: run `make setup`, or correct the setting."
    return f"The model {model.id} is missing: run `{FETCH}`."


def megabytes(model: ModelRef) -> float:
    """The size of the model's files on the disk, in MiB."""
    if model.is_local:
        found = [path for path in Path(model.id).rglob("*") if path.is_file()]
    else:
        found = [path for name in files(model) if (path := _cached(model, name))]
    return sum(path.stat().st_size for path in found) / 2**20


def fetch(model: ModelRef) -> None:
    """Download the missing files. Raises ModelError.

    Complete files stay when a download fails, and the next call continues an interrupted file.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    if model.is_local:
        raise ModelError(problem(model))
    at = {"revision": model.revision}
    names = [name for name in files(model) if not _cached(model, name)]
    try:
        known = {name: get_hf_file_metadata(hf_hub_url(model.id, name, **at)) for name in names}
        _check_room(model, sum(file.size or 0 for file in known.values()))
        for name in names:
            if known[name].commit_hash != model.revision:
                raise ModelError(f"{model}: the server answers with commit {known[name].commit_hash}")
            path = Path(hf_hub_download(model.id, name, **at))
            if _hash(path, known[name].etag) != known[name].etag:
                path.resolve().unlink()
                path.unlink(missing_ok=True)
                raise ModelError(f"{model}: {name} hasn't its published hash; it is removed, try again")
    except HfHubHTTPError as error:
        raise ModelError(f"{model}: {first_line(error)}") from error
    except (OSError, HTTPError) as error:
        raise ModelError(
            f"{model}: {first_line(error)}; the files that have come whole stay, try again"
        ) from error


def damaged(model: ModelRef) -> list[Path]:
    """The files whose content hasn't the hash in their name. Files of a local folder have no such names, so
    none of them is ever found damaged."""
    found = [] if model.is_local else [_cached(model, name) for name in files(model)]
    blobs = [path.resolve() for path in found if path]
    return [blob for blob in blobs if _hash(blob, blob.name) != blob.name]


def _cached(model: ModelRef, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(model.id, name, revision=model.revision)
    return Path(path) if isinstance(path, str) else None


def _check_room(model: ModelRef, wanted: int) -> None:
    from huggingface_hub.constants import HF_HUB_CACHE

    place = Path(HF_HUB_CACHE)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if wanted + _SPARE_MB * 2**20 > free:
        raise ModelError(
            f"{model} needs {wanted / 2**20:.0f} MiB and {_SPARE_MB} to spare, and {place} has "
            f"{free / 2**20:.0f} MiB free: make room, or set HF_HOME to a larger disk"
        )


def _hash(path: Path, like: str) -> str:
    """The hash of a file, of the same kind as ``like``: SHA-256, or git's SHA-1 if that has 40 digits."""
    digest = hashlib.sha256()
    if len(like) == 40:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """The first line of the error's text; the name of the error's type if there is no text."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
