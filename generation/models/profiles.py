"""Model profiles: one table that names every model, size, step count and strength. Imports no torch.

``miniature`` is embedded and needs no download. ``sd15`` is Stable Diffusion 1.5. A model is a repository on
the Hub or a local folder, and environment variables can replace it (see profile_variables.py).
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from generation.models.profile_variables import VARIABLES
from generation.prompts import LooksWords, PromptStyle
from generation.step_table import STEPS

_WEIGHTS = Path(__file__).parent.parent / "miniature" / "weights"


@dataclass(frozen=True)
class ModelRef:
    """A model in diffusers' folder layout: a Hub repository at ``revision`` (a commit), or a local folder.

    ``variant``: which files to download if a repository has several variants. "fp16" has half the size.
    """

    id: str
    revision: str | None = None
    variant: str | None = None
    kind: str = "pipeline"  # or "controlnet", or "safety": ``hub.files`` has the files of each kind

    @property
    def is_local(self) -> bool:
        return self.revision is None

    def __str__(self) -> str:
        """The model's name for public records. Of a local folder, it has only the end of the path."""
        return "/".join(Path(self.id).parts[-2:]) if self.is_local else f"{self.id}@{self.revision}"


@dataclass(frozen=True)
class StepSettings:
    """``steps`` denoising steps are scheduled. ``strength`` (0 to 1) is the share of them, from the end, that
    is done: with a low strength, a picture is changed little."""

    steps: int
    guidance: float
    strength: float = 1.0

    @property
    def arguments(self) -> dict:
        """For diffusers' pipelines."""
        return {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "strength": self.strength,
        }

    @property
    def performed(self) -> int:
        """How many denoising steps are done."""
        return max(1, min(self.steps, int(self.steps * self.strength)))


@dataclass(frozen=True)
class TrainingSettings:
    """How training pictures are made from the photos, and the profile's own values for launch.bash."""

    steps: int  # optimizer steps
    repeats: int  # of each photo; kohya's folder name
    token: str
    class_word: str
    resolution: int = 512  # side of the squares that are trained on, in pixels
    face_sizes: bool = False  # squares around the face are cut from each photo as well (see training_set)
    mask_background: bool = False  # the background has a tenth of the person's weight in the loss
    choose_checkpoint: bool = False  # take the checkpoint whose sample pictures are most like the photos
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def save_every(self) -> int:
        """After so many steps, there is a checkpoint. The default is launch.bash's."""
        return int(self.environment().get("SAVE_EVERY_N_STEPS", 100))

    def environment(self) -> dict[str, str]:
        """The variables that training-app/launch.bash reads."""
        return {
            "MAX_TRAIN_STEPS": str(self.steps),
            "RESOLUTION": f"{self.resolution},{self.resolution}",
            "SAMPLE_PROMPT": f"face of {self.token} {self.class_word}",
            **({"ALPHA_MASK": "1"} if self.mask_background else {}),
            **({"CHOOSE_CHECKPOINT": "1"} if self.choose_checkpoint else {}),
            **dict(self.variables),
        }


@dataclass(frozen=True)
class ModelProfile:
    """Models, sizes (in pixels) and strengths. ``half_on_gpu``: float16 on CUDA. ``hardware`` chooses a CPU's
    number format."""

    name: str
    inpaint_model: ModelRef  # nine channels: pose and face
    controlnet_model: ModelRef
    detail_model: ModelRef  # four channels: detail and harmonize
    training_model: ModelRef  # what a LoRA is trained on
    pixel_budget: int  # width x height of the canvas at most
    # Canvas pixels around the subject mask that the pose and detail steps see when they enlarge a small
    # subject (see picture/enlarging.py); 0: they always see the whole canvas.
    subject_padding: int
    face_resolution: int  # side of the square that the face is painted at
    face_padding: int  # canvas pixels around the face mask that the face step sees
    feather: int  # pixels over which a painted area fades into the picture, inside its mask
    harmonize_limit: int  # how far harmonize may move a pixel outside the subject mask, of 255
    # Detail and harmonize keep the colours of areas wider than this many pixels; 0: they may change them all.
    colours_kept: int
    pose: StepSettings
    detail: StepSettings
    harmonize: StepSettings
    face: StepSettings
    style: PromptStyle
    training: TrainingSettings
    half_on_gpu: bool = True
    full_size: bool = False  # True: the picture has the size of the place's photograph; False: the canvas's
    controlnet_scale: float = 1.0  # how strongly the skeleton guides the pose; 0: not at all
    # The timestep (of 1000) at which a flat figure takes the body's place in the pose step, see
    # picture/underpainting.py; 0: never. Its clothes are plain, so it is for models that draw plain clothes.
    underpainting: int = 0
    # With these settings, the face step first paints the visitor's head from noise, see picture/portrait.py.
    # None: it doesn't. It was measured with drawn heads, and not with photographs.
    portrait: StepSettings | None = None
    skeleton_side: int = 512  # short side at which the ControlNet knows its skeletons' lines
    face_colour_limit: int = 8  # how far a face's skin may move towards the neck's, CIE L*a*b* units
    body_lora: float = 0.0  # scale of the LoRA in the steps before the face; 0: none, and no name
    face_candidates: int = 1  # faces painted in one batch; the most similar to the visitor is kept
    repaints: int = 0  # how often a picture is painted again at most if the visitor isn't recognised
    safety_model: ModelRef | None = None  # judges finished pictures
    safety_check: str = "present"  # off, present (check if the model is installed) or required
    memory_plan: str = "auto"  # auto, resident, offload or sequential, see models/gpu_memory.py
    detectors: str = "generation.vision.real_people"  # the module that finds faces, joints and skin
    # The module that finds the painted subject's outline, so that the real place replaces the background that
    # was painted around it (see picture/cut_out.py). Empty: the painted background stays. A photograph's
    # subject has a shadow there.
    matting: str = ""
    # The module that restores a painted person (see picture/restoring.py). Empty: they stay as painted.
    restoration: str = ""

    def lora_scale(self, name: str, asked: float) -> float:
        """How strongly the visitor's LoRA works in step ``name``, of 0 (not at all) to 1 (as trained)."""
        return asked if STEPS[name].needs_lora else asked * self.body_lora

    def passes(self, name: str) -> list[StepSettings]:
        """The calls of its pipeline that step ``name`` makes, in order."""
        settings = getattr(self, name)
        return [self.portrait, settings] if name == "face" and self.portrait else [settings]

    def performed(self, name: str) -> int:
        """How many denoising steps step ``name`` does."""
        return sum(settings.performed for settings in self.passes(name))

    @property
    def is_drawn(self) -> bool:
        """Whether the models know drawn people and places only, and no photographs."""
        return self.detectors != type(self).detectors

    def models_of(self, name: str) -> list[ModelRef]:
        """The models that step ``name`` paints with."""
        step = STEPS[name]
        controlnet = [self.controlnet_model] if step.controlnet else []
        return [getattr(self, step.model), *controlnet]


MINIATURE = ModelProfile(
    name="miniature",
    inpaint_model=ModelRef(str(_WEIGHTS / "inpaint")),
    controlnet_model=ModelRef(str(_WEIGHTS / "controlnet"), kind="controlnet"),
    detail_model=ModelRef(str(_WEIGHTS / "detail")),
    training_model=ModelRef(str(_WEIGHTS / "inpaint")),
    pixel_budget=256 * 256,
    subject_padding=8,
    face_resolution=256,
    face_padding=12,
    feather=3,
    harmonize_limit=4,
    face_candidates=2,
    colours_kept=2,
    pose=StepSettings(steps=14, guidance=2.0),  # benchmarks/denoising.md has the measurements behind these
    detail=StepSettings(steps=40, guidance=1.0, strength=0.025),
    harmonize=StepSettings(steps=40, guidance=1.0, strength=0.025),
    full_size=True,
    face=StepSettings(steps=14, guidance=1.0, strength=0.45),
    portrait=StepSettings(steps=9, guidance=1.0),
    style=PromptStyle(
        prefix="",
        quality="",
        negative="",
        token="sks",
        class_word="person",
        # In the order and with the words of training.captions, with which the committed weights were trained.
        looks=LooksWords(
            hair={
                "black": "raven",
                "brown": "brunette",
                "auburn": "auburn",
                "blond": "blond",
                "red": "ginger",
            }
            | {"grey": "silver"},
            styles={
                style: f"{{colour}} {style} hair" for style in ("short", "parted", "curly", "long", "bun")
            }
            | {"bald": "bald"},
            beard={"moustache": "moustache", "beard": "beard"},
            glasses={"round": "round glasses", "square": "square glasses"},
        ),
    ),
    training=TrainingSettings(
        steps=300,
        repeats=240,
        token="sks",
        class_word="person",
        resolution=256,
        face_sizes=True,
        variables=(
            ("NETWORK_DIM", "16"),
            ("NETWORK_ALPHA", "16"),
            ("UNET_LR", "2e-3"),
            ("TEXT_ENCODER_LR", "1e-4"),
            ("TRAIN_BATCH_SIZE", "4"),
            ("MIN_SNR_GAMMA", ""),
            ("DEBIASED_ESTIMATION_LOSS", "1"),
            ("SAVE_EVERY_N_STEPS", "10"),
            ("SAMPLE_EVERY_N_STEPS", "60"),
            ("SAMPLE_PROMPT", "face of sks person --l 1.5 --s 16"),
            ("MIXED_PRECISION", "bf16"),  # float32 on a CPU that has no instructions for it
        ),
    ),
    controlnet_scale=1.8,  # benchmarks/denoising.md has the measurements behind this and the pose's steps
    underpainting=200,
    skeleton_side=256,
    detectors="generation.miniature.detectors",
    matting="generation.miniature.matting",
    restoration="generation.miniature.restoration",
)

SD15 = ModelProfile(
    name="sd15",
    # Of the inpainting model, the Hub has no other safetensors than the fp16 variant.
    inpaint_model=ModelRef(
        "stable-diffusion-v1-5/stable-diffusion-inpainting",
        "8a4288a76071f7280aedbdb3253bdb9e9d5d84bb",
        variant="fp16",
    ),
    controlnet_model=ModelRef(
        "lllyasviel/control_v11p_sd15_openpose",
        "9ae9f970358db89e211b87c915f9535c6686d5ba",
        variant="fp16",
        kind="controlnet",
    ),
    detail_model=ModelRef(
        "dreamlike-art/dreamlike-photoreal-2.0", "d9e27ac81cfa72def39d74ca673219c349f0a0d5"
    ),
    training_model=ModelRef(
        "stable-diffusion-v1-5/stable-diffusion-v1-5", "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
    ),
    pixel_budget=512 * 768,
    subject_padding=0,
    face_resolution=512,
    face_padding=48,
    feather=8,
    harmonize_limit=6,
    colours_kept=0,
    pose=StepSettings(steps=30, guidance=7.5),
    detail=StepSettings(steps=30, guidance=7.0, strength=0.45),
    harmonize=StepSettings(steps=30, guidance=6.0, strength=0.15),
    face=StepSettings(steps=30, guidance=7.0, strength=0.85),
    full_size=True,
    style=PromptStyle(
        prefix="RAW photo",
        quality="natural light, sharp focus, highly detailed skin, 8k uhd, film grain",
        negative="deformed, bad anatomy, extra limbs, extra fingers, blurry, cartoon, lowres, watermark",
        token="sks",
        class_word="person",
        looks=LooksWords(
            hair={one: one for one in ("black", "brown", "auburn", "blond", "red", "grey")},
            styles={"short": "short {colour} hair", "parted": "short {colour} hair", "bald": "bald head"}
            | {"curly": "curly {colour} hair", "long": "long {colour} hair", "bun": "{colour} hair in a bun"},
            beard={"moustache": "moustache", "beard": "beard"},
            glasses={"round": "glasses", "square": "glasses"},
        ),
    ),
    training=TrainingSettings(
        steps=1500,
        repeats=300,
        token="sks",
        class_word="person",
        variables=(("SAMPLE_EVERY_N_STEPS", "250"),),
    ),
    safety_check="required",
    safety_model=ModelRef(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        variant="fp16",
        kind="safety",
    ),
)

PROFILES = {profile.name: profile for profile in (MINIATURE, SD15)}


def get_profile(name: str | None = None) -> ModelProfile:
    """The profile ``name``, with the changes that environment variables make (see
    profile_variables.py). Without a name, it is the profile that MODEL_PROFILE names, or else the miniature.

    Raises ValueError for a name that isn't in the table, and for a variable with an impossible value.
    """
    name = name or os.environ.get("MODEL_PROFILE") or MINIATURE.name
    if name not in PROFILES:
        raise ValueError(f"MODEL_PROFILE={name!r} is not one of {', '.join(PROFILES)}")
    profile = PROFILES[name]
    for variable, change in VARIABLES.items():
        if text := os.environ.get(variable):
            try:
                profile = dataclasses.replace(profile, **change(profile, text))
            except ValueError as error:
                raise ValueError(f"{variable}={text!r} {error}") from error
    return profile
