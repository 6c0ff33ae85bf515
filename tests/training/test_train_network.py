"""The trainer on small models of the real shapes. One run is in an interpreter of its own, as launch.bash
starts it; the others are in forks of a process that has imported the libraries."""

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionInpaintPipeline, StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save

from benchmarks.harness import ROOT, forked_script
from benchmarks.harness.kohya_lora import METADATA

TRAINER = ROOT / "kohya-scripts" / "train_network.py"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    pictures = folder / "2_sks person"
    pictures.mkdir()
    for number, size in enumerate([(64, 64), (64, 64), (96, 64)]):
        picture = Image.radial_gradient("L").resize(size).convert("RGB")
        picture.rotate(90 * number).save(pictures / f"{number}.png")
        (pictures / f"{number}.txt").write_text("sks person standing")
    return folder


def command_line(model: Path, photos: Path, output: Path, *options: str) -> list[str]:
    return [
        *("--pretrained_model_name_or_path", str(model), "--train_data_dir", str(photos)),
        *("--output_dir", str(output), "--network_module", "networks.lora", "--network_dim", "4"),
        *("--network_alpha", "2", "--resolution", "64,64", "--caption_extension", ".txt"),
        *("--max_train_steps", "6", "--seed", "3", "--learning_rate", "1e-2", *options),
    ]


def train(model: Path, photos: Path, output: Path, *options: str) -> subprocess.CompletedProcess:
    return forked_script.run(TRAINER, *command_line(model, photos, output, *options))


@pytest.fixture(scope="module")
def trained(small_models, photos, tmp_path_factory):
    """A run on the 4-channel model with everything that launch.bash switches on, in a new interpreter."""
    output = tmp_path_factory.mktemp("output")
    options = command_line(
        *(small_models / "text2img", photos, output, "--output_name", "visitor"),
        *("--enable_bucket", "--bucket_no_upscale", "--cache_latents", "--min_snr_gamma", "5"),
        *("--lr_scheduler", "cosine", "--mixed_precision", "fp16", "--save_precision", "fp16"),
        *("--save_model_as", "safetensors", "--sdpa", "--save_every_n_steps", "3", "--save_state"),
    )
    done = subprocess.run([sys.executable, TRAINER, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done, output


def test_progress_is_printed_as_json_lines(trained):
    lines = [json.loads(line) for line in trained[0].stdout.splitlines()]
    assert all(line["step"] == "train" for line in lines)
    assert [line["done"] for line in lines if "done" in line][-1] == 6
    assert {"pid", "import_seconds", "load_seconds", "train_seconds", "peak_rss_mb"} <= set(lines[-1])


def test_keys_shapes_and_metadata_are_kohyas(trained):
    path = trained[1] / "visitor.safetensors"
    tensors = load_file(path)
    layer = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    assert tensors[f"{layer}.lora_down.weight"].shape == (4, 64)
    assert tensors[f"{layer}.lora_up.weight"].abs().max() > 0
    assert tensors[f"{layer}.alpha"] == 2
    assert "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight" in tensors
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    metadata = safe_open(path, "pt").metadata()
    expected = {"ss_network_dim": "4", "ss_network_alpha": "2.0", "ss_steps": "6", "ss_seed": "3"}
    assert expected.items() <= metadata.items() and metadata.keys() == METADATA
    assert json.loads(metadata["ss_dataset_dirs"]) == {"2_sks person": {"n_repeats": 2, "img_count": 3}}


def test_a_lora_says_which_base_it_was_trained_on_and_its_own_hashes_as_kohya_does(trained, small_models):
    path = trained[1] / "visitor.safetensors"
    metadata = safe_open(path, "pt").metadata()
    unet = (small_models / "text2img" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert metadata["ss_new_sd_model_hash"] == sha256(unet).hexdigest()
    assert metadata["ss_sd_model_hash"] == sha256(unet[0x100000:0x110000]).hexdigest()[:8]
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    assert metadata["sshs_model_hash"] == sha256(content[start:]).hexdigest()
    own = {name: value for name, value in metadata.items() if name.startswith("ss_")}
    small = save(load_file(path), own)
    assert metadata["sshs_legacy_hash"] == sha256(small[0x100000:0x110000]).hexdigest()[:8]
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert metadata["modelspec.title"] == "visitor" and metadata["modelspec.resolution"] == "64x64"


def test_it_writes_its_own_small_files_only(trained, small_models):
    names = {str(path.relative_to(trained[1])) for path in trained[1].rglob("*") if path.is_file()}
    checkpoint = "visitor-step00000003"
    assert names == {
        *("visitor.safetensors", f"{checkpoint}.safetensors"),
        *(f"{checkpoint}-state/state.pt", "visitor-state/state.pt"),
    }
    unet = small_models / "text2img" / "unet" / "diffusion_pytorch_model.safetensors"
    assert (trained[1] / "visitor.safetensors").stat().st_size < unet.stat().st_size / 2


@pytest.mark.parametrize(
    ("folder", "pipeline_class"),
    [("text2img", StableDiffusionPipeline), ("inpaint", StableDiffusionInpaintPipeline)],
)
def test_the_lora_loads_in_plain_diffusers_and_changes_what_is_painted(
    folder, pipeline_class, trained, small_models
):
    """A LoRA of the 4-channel UNet fits the 9-channel one too: conv_in isn't adapted."""
    pipeline = pipeline_class.from_pretrained(small_models / folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    inputs = {"prompt": "sks person", "num_inference_steps": 2, "width": 64, "height": 64}
    if folder == "inpaint":
        inputs |= {"image": Image.new("RGB", (64, 64)), "mask_image": Image.new("L", (64, 64), 255)}
    inputs["output_type"] = "latent"

    def paint() -> torch.Tensor:
        return pipeline(generator=torch.Generator().manual_seed(0), **inputs).images

    before, again = paint(), paint()
    assert torch.equal(before, again)
    pipeline.load_lora_weights(trained[1] / "visitor.safetensors")
    assert not torch.allclose(before, paint(), atol=1e-3)
    pipeline.unload_lora_weights()
    assert torch.allclose(before, paint(), atol=1e-5)


def test_a_resumed_run_ends_where_an_unbroken_one_does(trained, small_models, photos, tmp_path):
    options = ("--enable_bucket", "--bucket_no_upscale", "--cache_latents", "--min_snr_gamma", "5")
    resumed = train(
        *(small_models / "text2img", photos, tmp_path, "--output_name", "visitor", *options),
        *("--lr_scheduler", "cosine", "--save_precision", "fp16"),
        *("--resume", str(trained[1] / "visitor-step00000003-state")),
    )
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    unbroken = load_file(trained[1] / "visitor.safetensors")
    for name, tensor in load_file(tmp_path / "visitor.safetensors").items():
        assert torch.equal(tensor, unbroken[name]), name


def test_debiased_an_error_of_the_picture_counts_the_same_at_every_noise_level(monkeypatch):
    monkeypatch.syspath_prepend(TRAINER.parent)
    import train_network

    schedule = DDPMScheduler(beta_schedule="scaled_linear", beta_end=0.012, prediction_type="v_prediction")
    timesteps = torch.tensor([20, 400, 990])
    picture, noise, wrong = torch.randn(3, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    noisy = schedule.add_noise(picture, noise, timesteps)
    velocity = schedule.get_velocity(picture, noise, timesteps)
    alphas = schedule.alphas_cumprod[timesteps][:, None, None, None]
    guessed = alphas.sqrt() * noisy - (1 - alphas).sqrt() * wrong  # the picture that a wrong velocity means
    weighted = (wrong - velocity).square().mean((1, 2, 3)) * train_network.debiased_weight(
        schedule, timesteps
    )
    torch.testing.assert_close(weighted, (guessed - picture).square().mean((1, 2, 3)), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("folder", ["text2img", "inpaint"])
def test_with_alpha_mask_the_loss_counts_where_a_picture_is_opaque(folder, small_models, tmp_path):
    picture = Image.radial_gradient("L").resize((64, 64)).convert("RGBA")

    def first_loss(name: str, alpha: Image.Image, *options: str) -> float:
        (tmp_path / name / "1_sks person").mkdir(parents=True)
        picture.putalpha(alpha)
        picture.save(tmp_path / name / "1_sks person" / "photo.png")
        options = ("--max_train_steps", "1", "--cache_latents", *options)
        done = train(small_models / folder, tmp_path / name, tmp_path / "output", *options)
        assert done.returncode == 0, done.stderr[-3000:]
        return next(line["loss"] for line in map(json.loads, done.stdout.splitlines()) if line.get("loss"))

    opaque, half = Image.new("L", (64, 64), 255), Image.new("L", (64, 64), 255)
    half.paste(0, (0, 0, 64, 32))
    plain = first_loss("plain", half)
    assert first_loss("opaque", opaque, "--alpha_mask") == pytest.approx(plain, rel=1e-4)
    assert first_loss("half", half, "--alpha_mask") != pytest.approx(plain, rel=1e-3)


def test_a_model_whose_vae_divides_by_4_is_trained_and_painted_with(small_models, photos, tmp_path):
    model = shutil.copytree(small_models / "inpaint", tmp_path / "model")
    AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
    ).save_pretrained(model / "vae")
    (tmp_path / "prompts.txt").write_text("sks person --s 1")
    done = train(
        *(model, photos, tmp_path / "output", "--max_train_steps", "2", "--enable_bucket", "--alpha_mask"),
        *("--sample_prompts", str(tmp_path / "prompts.txt"), "--sample_every_n_steps", "2"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert Image.open(tmp_path / "output" / "sample" / "last_000002_00.png").size == (64, 64)
    assert (tmp_path / "output" / "last.safetensors").exists()


def test_an_inpainting_model_learns_and_the_loss_falls(small_models, photos, tmp_path):
    done = train(
        *(small_models / "inpaint", photos, tmp_path, "--cache_latents", "--train_batch_size", "4"),
        *("--max_train_steps", "250", "--network_train_unet_only"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [json.loads(line).get("loss") for line in done.stdout.splitlines()]
    losses = [loss for loss in losses if loss is not None]
    assert losses[-1] < 0.9 * losses[0]
    assert not [name for name in load_file(tmp_path / "last.safetensors") if name.startswith("lora_te")]


def test_sample_pictures_are_painted_on_the_way(small_models, photos, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("# a comment\nsks person --w 64 --h 64 --s 2 --d 5\nan empty street --s 2\n")
    done = train(
        *(small_models / "text2img", photos, tmp_path / "output", "--max_train_steps", "2"),
        *("--sample_prompts", str(prompts), "--sample_every_n_steps", "1"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    names = {path.name for path in (tmp_path / "output" / "sample").iterdir()}
    assert names == {f"last_00000{step}_0{line}.png" for step in (1, 2) for line in (0, 1)}
    assert Image.open(tmp_path / "output" / "sample" / "last_000002_00.png").size == (64, 64)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--network_dims", "4"], "unrecognized arguments"),
        (["--resolution", "65"], "not a multiple of 8"),
        (["--sample_every_n_steps", "5"], "needs --sample_prompts"),
    ],
)
def test_a_wrong_option_is_refused_before_any_work(options, reason, small_models, photos, tmp_path):
    done = train(small_models / "text2img", photos, tmp_path / "output", *options)
    assert done.returncode == 2 and reason in done.stderr.splitlines()[-1]
    assert not (tmp_path / "output").exists()


def _no_folder(photos: Path) -> None:
    photos.rmdir()


def _badly_named(photos: Path) -> None:
    (photos / "sks person").mkdir()


def _broken_picture(photos: Path) -> None:
    (photos / "1_sks").mkdir()
    (photos / "1_sks" / "face.png").write_bytes(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_no_folder, "there is no folder"),
        (lambda photos: None, "no images in"),
        (_badly_named, "is not named <repeats>_<class tokens>"),
        (_broken_picture, "can't read the picture face.png"),
    ],
)
def test_bad_photos_end_it_with_the_reason_as_the_last_line(prepare, reason, small_models, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    prepare(photos)
    done = train(small_models / "text2img", photos, tmp_path / "output")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ") and reason in done.stderr.splitlines()[-1]


def test_a_missing_model_ends_the_training_by_name(photos, tmp_path):
    done = train(tmp_path / "no-model", photos, tmp_path / "output")
    assert done.returncode == 1 and "no-model" in done.stderr.splitlines()[-1]
