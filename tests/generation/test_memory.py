"""The memory plan: which one fits, and that what is sliced and tiled paints the same."""

import numpy as np
import pytest

from benchmarks.harness.job_folders import make_job, read_inputs
from generation.models import gpu_memory, pipelines
from generation.models.profiles import get_profile

pytestmark = pytest.mark.models

NEEDED = {"resident": 5000.0, "offload": 3900.0, "sequential": 0.0}


@pytest.mark.parametrize(
    ("free", "plan"),
    [(24_000, "resident"), (5000, "resident"), (4999, "offload"), (3000, "sequential"), (0, "sequential")],
)
def test_the_first_memory_plan_that_fits_is_chosen(free, plan):
    assert gpu_memory.choose(NEEDED, free) == plan


def test_resident_needs_all_networks_and_offload_the_largest():
    profile = get_profile("miniature")
    pipeline = pipelines.PipelineCache().pipeline("pose", profile)
    needed = gpu_memory.needs_mb(pipeline, profile)
    unet = sum(t.numel() * t.element_size() for t in pipeline.unet.state_dict().values()) / 2**20
    faces = 2  # painted in one batch: the most that is in memory at once
    working = gpu_memory.WORKING_MB_PER_MEGAPIXEL * faces * 256 * 256 / 1e6
    assert needed["offload"] == pytest.approx(unet + working)
    assert needed["resident"] > needed["offload"] > needed["sequential"]


def test_slices_and_tiles_paint_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("DENOISING_STEPS", "3")

    def painted() -> np.ndarray:
        inputs = read_inputs(make_job(tmp_path))
        pipeline = pipelines.PipelineCache().pipeline("pose", inputs.profile)
        return np.asarray(inputs.paint("pose", 1, inputs.canvas.background, pipeline))

    whole = painted().astype(int)
    monkeypatch.setenv("MEMORY_PLAN", "sequential")
    assert np.abs(painted() - whole).mean() < 1  # of 255: bfloat16 rounds elsewhere when attention is sliced


def test_an_unknown_memory_plan_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("MEMORY_PLAN", "tight")
    with pytest.raises(ValueError, match="MEMORY_PLAN='tight' is not one of auto"):
        get_profile()
