"""Which models a profile takes, in which files; and manage.py models, which fetches and verifies them."""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.harness import ROOT
from benchmarks.harness.hub import Hub
from benchmarks.harness.small_disks import small_disk
from diffuser_api.models import Job
from generation.models import hardware, pipelines, profiles
from generation.models import hub as model_hub
from generation.models.profiles import get_profile
from generation.processes import step_server


@pytest.fixture
def own_models(small_models, tmp_path):
    """A copy whose files may be changed."""
    return shutil.copytree(small_models, tmp_path / "models")


def test_stable_diffusion_is_taken_from_the_hub_by_commit():
    sd15 = profiles.SD15
    for model in (sd15.inpaint_model, sd15.controlnet_model, sd15.detail_model, sd15.training_model):
        assert re.fullmatch(r"[0-9a-f]{40}", model.revision), model


@pytest.mark.parametrize(
    "text", ["owner/name", "owner/name@main", "folder-that-is-not-there", "a/b/c@" + 40 * "0"]
)
def test_a_model_without_its_commit_is_refused_with_what_to_write(text, monkeypatch):
    monkeypatch.setenv("DETAIL_MODEL", text)
    with pytest.raises(ValueError, match="OWNER/NAME@<40 hexadecimal digits>"):
        get_profile("sd15")


def test_a_model_with_its_commit_and_a_folder_are_taken(monkeypatch, tmp_path):
    commit = "0123456789abcdef" * 2 + "01234567"
    monkeypatch.setenv("DETAIL_MODEL", f"owner/name@{commit}")
    monkeypatch.setenv("INPAINT_MODEL", str(tmp_path))
    profile = get_profile("sd15")
    assert (profile.detail_model.id, profile.detail_model.revision) == ("owner/name", commit)
    assert profile.inpaint_model == profiles.ModelRef(str(tmp_path))


def test_folders_whose_paths_end_alike_are_other_models(monkeypatch, tmp_path):
    for role, name in (("INPAINT", "one"), ("DETAIL", "other")):
        folder = tmp_path / name / "kept" / "model"
        folder.mkdir(parents=True)
        monkeypatch.setenv(f"{role}_MODEL", str(folder))
    profile = get_profile()
    assert str(profile.inpaint_model) == str(profile.detail_model) == "kept/model"
    assert profile.models_of("face") != profile.models_of("detail")


def test_a_template_notices_a_change_in_a_folder_with_a_relative_path(monkeypatch, tmp_path):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETAIL_MODEL", "model")
    before = step_server.models_stamp(get_profile())
    (tmp_path / "model" / "config.json").write_text("{}")
    assert step_server.models_stamp(get_profile()) != before


def test_a_folder_of_the_half_precision_variant_is_read(own_models, monkeypatch):
    """As Stable Diffusion's inpainting model is published: no other safetensors."""
    names = {"INPAINT_MODEL": "inpaint", "CONTROLNET_MODEL": "controlnet", "DETAIL_MODEL": "text2img"}
    for variable, name in names.items():
        monkeypatch.setenv(variable, str(own_models / name))
    before = pipelines.PipelineCache().fetch("pose", get_profile())
    for path in own_models.rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    after = pipelines.PipelineCache().fetch("pose", get_profile())
    for part in ("unet", "vae", "text_encoder", "controlnet"):
        for key, tensor in before[part].state_dict().items():
            assert torch.equal(tensor, after[part].state_dict()[key]), (part, key)


def test_weights_that_are_cut_off_are_a_model_that_can_not_be_loaded(own_models, monkeypatch):
    for variable, name in (("INPAINT_MODEL", "inpaint"), ("CONTROLNET_MODEL", "controlnet")):
        monkeypatch.setenv(variable, str(own_models / name))
    for part in (own_models / "inpaint" / "unet", own_models / "controlnet"):
        [weights] = part.glob("*.safetensors")
        whole = weights.read_bytes()
        weights.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(pipelines.ModelMissing, match="could not be loaded"):
            pipelines.PipelineCache().fetch("pose", get_profile())
        weights.write_bytes(whole)


def test_parts_are_mapped_from_their_files_until_a_step_converts_them():
    profile, cache = get_profile("miniature"), pipelines.PipelineCache()
    unet = cache.fetch("pose", profile)["unet"]
    [weights] = (model_hub.folder(profile.inpaint_model) / "unet").glob("*.safetensors")
    assert str(weights.resolve()) in Path("/proc/self/maps").read_text()
    assert unet.dtype == torch.float16
    assert cache.pipeline("pose", profile).unet.dtype == hardware.choose(profile.half_on_gpu).dtype


# --- manage.py models ---------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def hub():
    weights = random.Random(5).randbytes(24 * 2**20)
    serving = Hub(COMMIT, {"config.json": b"{}", "diffusion_pytorch_model.safetensors": weights})
    yield serving
    serving.close()


@pytest.fixture
def manage(hub, tmp_path):
    """Runs ``manage.py models`` with a ControlNet of the hub's and a cache of its own."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
        "CONTROLNET_MODEL": f"owner/net@{COMMIT}",
    }

    def run(*options: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "manage.py", "models", *options]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)

    return run


def blobs(tmp_path) -> list[Path]:
    return [path for path in (tmp_path / "hf").rglob("blobs/*") if path.stat().st_size > 100]


def test_a_missing_model_is_listed_fetched_and_verified(manage, hub, tmp_path):
    listed = manage()
    assert listed.returncode == 1 and "owner/net is missing: run `manage.py models --fetch`" in listed.stderr
    fetched = manage("--fetch", "--verify")
    assert fetched.returncode == 0, fetched.stderr
    assert COMMIT in fetched.stdout and "24 MiB are there" in fetched.stdout
    assert [blob.read_bytes() for blob in blobs(tmp_path)] == [
        hub.files["diffusion_pytorch_model.safetensors"]
    ]
    hub.begun_at.clear()
    assert manage("--fetch").returncode == 0 and not hub.begun_at


def test_a_flipped_bit_is_found_and_mended(manage, hub, tmp_path):
    manage("--fetch")
    [blob] = blobs(tmp_path)
    content = bytearray(blob.read_bytes())
    content[2**20] ^= 4
    blob.write_bytes(content)
    found = manage("--verify")
    assert found.returncode == 1 and f"{blob} is damaged: delete it" in found.stderr
    blob.unlink()
    assert manage("--fetch", "--verify").returncode == 0


def test_a_cut_off_download_goes_on_where_it_was(manage, hub):
    hub.cuts = 1
    assert manage("--fetch", "--verify").returncode == 0
    assert hub.begun_at == [0, 10 * 2**20]  # the library writes pieces of that size


def test_a_download_that_never_ends_is_reported_and_whole_files_stay(manage, hub, tmp_path):
    hub.cuts = 100
    broken = manage("--fetch")
    assert broken.returncode == 1 and "try again" in broken.stderr and "Traceback" not in broken.stderr
    assert [path.name for path in (tmp_path / "hf").rglob("snapshots/*/*")] == ["config.json"]
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    hub.cuts = 0
    assert manage("--fetch", "--verify").returncode == 0


def test_a_file_with_another_hash_is_not_kept(manage, hub, tmp_path):
    hub.flipped = True
    refused = manage("--fetch")
    assert refused.returncode == 1 and "hasn't its published hash" in refused.stderr
    assert blobs(tmp_path) == []


def test_another_commit_than_asked_for_is_refused(manage, hub):
    hub.commit = COMMIT[::-1]
    refused = manage("--fetch")
    assert refused.returncode == 1 and f"answers with commit {hub.commit}" in refused.stderr


def test_an_unknown_file_and_an_absent_server_are_reported(manage, hub):
    weights = hub.files.pop("diffusion_pytorch_model.safetensors")
    assert "404" in (gone := manage("--fetch")).stderr and gone.returncode == 1
    hub.files["diffusion_pytorch_model.safetensors"] = weights
    hub.close()
    assert "owner/net" in (absent := manage("--fetch")).stderr and absent.returncode == 1
    assert "Traceback" not in gone.stderr + absent.stderr


def test_a_disk_that_is_too_small_is_reported_before_anything_is_fetched(manage, hub, tmp_path):
    (tmp_path / "hf").mkdir()
    try:
        with small_disk(tmp_path / "hf", 8):
            refused = manage("--fetch")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"only root can mount a small disk here: {error}")
    assert refused.returncode == 1 and "make room, or set HF_HOME" in refused.stderr
    assert not hub.begun_at


def test_no_job_is_taken_without_its_models(client, catalogue, monkeypatch):
    monkeypatch.setenv("DETAIL_MODEL", f"owner/name@{COMMIT}")
    asked = {"poi_name": "Piazza", "poi_image": "noon", "action_name": "waving", "action_shot_type": "MES"}
    answer = client.post("/api/generate-image/", asked | {"age": "adult", "gender": "man"})
    assert answer.status_code == 503, answer.content
    assert answer.status_code == 503 and "manage.py models" in answer.json()["detail"]
    assert not Job.objects.exists()
