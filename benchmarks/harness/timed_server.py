"""A process that does steps (``generation.processes.fork_server`` or ``resident``) under a stopwatch:

    python -m benchmarks.harness.timed_server MODULE FOLDER PROFILE STEP...

Each step writes its spans to a file in FOLDER. A template must import the libraries in its own way, so there
the stages are watched after that.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmarks.harness.stopwatch import CHILD, Stage, Stopwatch

_VAE = "diffusers:AutoencoderTiny", "diffusers:AutoencoderKL"
_PIPELINES = (
    "diffusers:StableDiffusionControlNetInpaintPipeline",
    "diffusers:StableDiffusionInpaintPipeline",
    "diffusers:StableDiffusionImg2ImgPipeline",
)
_STEPS = "generation.steps"
STAGES = (
    Stage("generation.processes.step_process:run", CHILD),
    Stage("generation.job_folder:read_canvas", "read and fit place, skeleton, masks"),
    Stage("generation.models.hardware:use_cores", "threads"),
    Stage("generation.models.pipelines:PipelineCache.pipeline", "make the pipeline of its parts"),
    Stage("generation.models.pipelines:apply_lora", "load the LoRA", whole=True),
    Stage("generation.models.pipelines:remove_lora", "remove the LoRA", whole=True),
    *(Stage(f"{name}.__call__", "pipelines' own code") for name in _PIPELINES),
    *(Stage(f"{name}.encode_prompt", "text encoder", whole=True) for name in _PIPELINES),
    Stage("diffusers:UNet2DConditionModel.forward", "UNet", whole=True, first_apart=True),
    Stage("diffusers:ControlNetModel.forward", "ControlNet", whole=True, first_apart=True),
    *(Stage(f"{name}.encode", "VAE encode", whole=True) for name in _VAE),
    *(Stage(f"{name}.decode", "VAE decode", whole=True) for name in _VAE),
    Stage("diffusers:DPMSolverMultistepScheduler.step", "scheduler", whole=True),
    Stage("diffusers:DPMSolverMultistepScheduler.set_timesteps", "scheduler", whole=True),
    Stage(f"{_STEPS}:vae_copy", "copy through the VAE", whole=True),
    Stage("generation.processes.step_process:write_preview", "preview", whole=True),
    Stage(f"{_STEPS}:restore_place", "cut-out", whole=True),
    Stage(f"{_STEPS}:restore_head", "restore the candidates", whole=True),
    Stage("generation.processes.step_process:in_photograph", "finish in the photograph", whole=True),
    *(
        Stage(f"{_STEPS}:{name}", "lay over", whole=True)
        for name in ("add_change", "bounded", "keep_colours")
    ),
    Stage(f"{_STEPS}:lay_over", "lay over", whole=True),
    Stage("generation.vision.likeness:nearest", "choose among the faces", whole=True),
    Stage("generation.picture.face_colours:fit_to_neck", "colour of the face", whole=True),
    Stage("generation.vision.likeness:measure", "measure the likeness", whole=True),
    Stage("generation.models.safety:check", "safety check", whole=True),
    Stage("generation.record:step_record", "record", whole=True),
    Stage("PIL.Image:Image.save", "PNG, written", whole=True),
    Stage("PIL.ImageFile:ImageFile.load", "PNG, read"),
)


def time_steps(folder: Path) -> None:
    """From now on, each step of this process and of its children writes its spans."""
    from generation.processes import step_process

    stopwatch, attempt = Stopwatch(), step_process.attempt
    stopwatch.watch(STAGES)

    def timed_attempt(*arguments) -> int:
        stopwatch.forget()
        status = attempt(*arguments)
        stopwatch.save(folder)
        return status

    step_process.attempt = timed_attempt


def main() -> None:
    module, folder = importlib.import_module(sys.argv[1]), Path(sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    if prepare := getattr(module, "prepared_cache", None):

        def prepared_cache(profile):
            cache = prepare(profile)
            time_steps(folder)
            return cache

        module.prepared_cache = prepared_cache
    else:
        time_steps(folder)
    module.main()


if __name__ == "__main__":
    main()
