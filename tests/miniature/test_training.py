"""The miniature's training: it resumes exactly, refuses held-out scenes, and runs on any device."""

import json
from pathlib import Path

import pytest
import torch

from generation.miniature.training import (
    carry,
    drawing,
    family,
    gradients,
    samples,
    train_decoder,
    train_matting,
    train_restoration,
    train_unet,
    train_vae,
)
from generation.miniature.training.checkpoints import Plan, load_checkpoint
from generation.miniature.training.device import Device
from generation.miniature.training.latents import LATENT_CHANNELS, VAE_FACTOR
from generation.miniature.training.trainee import Trainee
from generation.miniature.world import scenes
from generation.miniature.world.pen import SCENE

CPU = Device("cpu", torch.float32)


@pytest.fixture
def tiny(monkeypatch):
    """Batches of a few samples, drawn in this process, and no sheets."""
    for module, name, value in (
        (train_unet, "BATCH", {"cpu": (1, 1, 1)}),
        (train_unet, "BEFOREHAND", {"cpu": 4}),
        (train_unet, "CHUNK", {"cpu": 4}),
        (train_vae, "BATCH", {"cpu": 2}),
        (train_vae, "RING", {"cpu": 64}),
        (train_matting, "CHUNK", 4),
        (train_matting, "BEFOREHAND", 4),
        (train_matting, "SAVE_STEPS", 1),
        (train_restoration, "BATCH", {"cpu": 2}),
        (train_restoration, "CHUNK", {"cpu": 4}),
        (train_restoration, "BEFOREHAND", {"cpu": 4}),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(drawing, "drawing_processes", lambda device: 0)
    monkeypatch.setattr(train_unet, "draw_sheet", lambda *args: None)
    monkeypatch.setattr(train_vae, "held_out_psnr", lambda *args: {})


class Interrupted(BaseException):
    pass


def interrupted_after(step: int, steps: int) -> Plan:
    """A plan of ``steps`` steps that breaks off after ``step``, as a kill would."""

    class Breaking(Plan):
        def advance(self):
            if self.step == step:
                raise Interrupted
            super().advance()

    return Breaking(steps=steps)


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in module.state_dict().values()])


def test_an_interrupted_vae_training_ends_as_an_unbroken_one(tmp_path, tiny):
    unbroken = train_vae.train(tmp_path / "a", Plan(steps=6), CPU)
    with pytest.raises(Interrupted):
        train_vae.train(tmp_path / "b", interrupted_after(4, 6), CPU, save_seconds=0)
    resumed = train_vae.train(tmp_path / "b", Plan(steps=6), CPU)
    assert torch.equal(weights(unbroken), weights(resumed))


def test_an_interrupted_unet_training_ends_as_an_unbroken_one(tmp_path, tiny):
    vae = family.build_vae()
    unbroken = train_unet.train(tmp_path / "a", vae, Plan(steps=4), CPU)
    with pytest.raises(Interrupted):
        train_unet.train(tmp_path / "b", vae, interrupted_after(2, 4), CPU, save_seconds=0)
    resumed = train_unet.train(tmp_path / "b", vae, Plan(steps=4), CPU)
    assert torch.equal(weights(unbroken.networks), weights(resumed.networks))


def train_bodies(*args, **options):
    return train_restoration.train(*args, task=train_restoration.BODY, **options)


@pytest.mark.parametrize(
    ("train", "often"),
    [
        (train_matting.train, {}),
        (train_restoration.train, {"save_seconds": 0}),
        (train_bodies, {"save_seconds": 0}),
    ],
)
def test_an_interrupted_training_of_what_is_painted_ends_as_an_unbroken_one(tmp_path, tiny, train, often):
    for name in "ab":
        vae = train_vae.train(tmp_path / name, Plan(steps=1), CPU)
        train_unet.train(tmp_path / name, vae, Plan(steps=1), CPU)
    unbroken = train(tmp_path / "a", Plan(steps=4), CPU)
    with pytest.raises(Interrupted):
        train(tmp_path / "b", interrupted_after(2, 4), CPU, **often)
    resumed = train(tmp_path / "b", Plan(steps=4), CPU)
    assert torch.equal(weights(unbroken), weights(resumed))


def test_a_decoder_learns_alone_and_resumes_exactly(tmp_path, tiny):
    for name in "ab":
        encoder = weights(train_vae.train(tmp_path / name, Plan(steps=1), CPU).encoder)
    unbroken = train_decoder.train(tmp_path / "a", Plan(steps=4), CPU)
    with pytest.raises(Interrupted):
        train_decoder.train(tmp_path / "b", interrupted_after(2, 4), CPU, save_seconds=0)
    resumed = train_decoder.train(tmp_path / "b", Plan(steps=4), CPU)
    assert torch.equal(weights(unbroken), weights(resumed))
    assert torch.equal(weights(resumed.encoder), encoder)
    assert not torch.equal(weights(resumed.decoder), weights(family.build_vae().decoder))
    kept = family.build_vae()
    load_checkpoint(tmp_path / "b" / train_vae.FILE, vae=kept)
    assert torch.equal(weights(kept), weights(resumed))


def test_carried_files_are_small_and_begin_another_training(tmp_path, tiny):
    vae = train_vae.train(tmp_path / "work", Plan(steps=1), CPU)
    train_unet.train(tmp_path / "work", vae, Plan(steps=1), CPU)
    numbering = tmp_path / "work" / "tokenizer" / "vocab.json"
    words = list(json.loads(numbering.read_text("utf-8")))
    numbering.write_text(json.dumps({word: n for n, word in enumerate([*words[1:], words[0]])}), "utf-8")
    carried = carry.pack(tmp_path / "work", tmp_path / "carried")
    assert len(carried) <= 6 and max(path.stat().st_size for path in carried) <= 15 * 2**20
    carry.unpack(tmp_path / "carried", tmp_path / "there")
    # The text encoder's rows belong to this numbering of the words.
    assert (tmp_path / "there" / "tokenizer" / "vocab.json").read_bytes() == numbering.read_bytes()
    before, after = Trainee(tmp_path, CPU), Trainee(tmp_path, CPU)
    load_checkpoint(tmp_path / "work" / train_unet.FILE, ema=before.ema)
    counters = load_checkpoint(tmp_path / "there" / train_unet.FILE, ema=after.ema)
    assert counters["step"] == 0
    for mine, theirs in zip(before.ema.shadow_params, after.ema.shadow_params, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-3)


@pytest.mark.parametrize("draw", [samples.draw_picture, lambda seed: samples.draw_sample("pose", seed)])
def test_a_held_out_seed_is_refused(draw):
    with pytest.raises(ValueError, match="held out"):
        draw(scenes.HELD_OUT)


def test_a_training_step_stays_on_its_device(tmp_path):
    """On PyTorch's meta device, which has no values: a tensor left on the CPU raises an error."""
    meta = Device("meta", torch.float32)
    counts, trainee = (2, 2, 1), Trainee(tmp_path, meta)
    rings = []
    for kind in samples.KINDS:
        ring = drawing.Ring(8, meta)
        chunk = [samples.draw_sample(kind, number) for number in range(4)]
        ring.put(train_unet.encoded(family.build_vae().to("meta"), trainee, _stacked(chunk)))
        rings.append(ring)
    batch = train_unet.joined_batch(*rings, 0, counts, trainee.tokens([""]).to("meta"), meta)
    seen = train_unet.noised(train_unet.NoiseSchedule(meta), batch, 0, counts[2], meta)
    gradients.Gradients(trainee)(seen, batch["tokens"])
    vae = family.build_vae().to("meta")
    pictures = torch.rand(2, 3, train_vae.CROP, train_vae.CROP, device="meta")
    for step in (0, 2):
        train_vae.training_step(vae, meta, pictures, step).backward()


def _stacked(drawn: list[dict]) -> dict:
    return {name: drawing._stacked([sample[name] for sample in drawn]) for name in drawn[0]}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_captured_gradients_are_those_of_a_plain_step(tmp_path):
    gpu = Device("cuda", torch.bfloat16)
    trainee = Trainee(tmp_path, gpu)
    side = SCENE // VAE_FACTOR
    batch = {
        "latents": torch.randn(6, LATENT_CHANNELS, side, side, device="cuda"),
        "around": torch.randn(6, LATENT_CHANNELS, side, side, device="cuda"),
        "hole": torch.ones(6, 1, side, side, dtype=torch.bool, device="cuda"),
        "weight": torch.ones(6, 1, side, side, device="cuda"),
        "skeletons": torch.rand(2, 3, SCENE, SCENE, device="cuda"),
    }
    tokens, schedule = gpu.place(trainee.tokens(["a person"] * 6)), train_unet.NoiseSchedule(gpu)
    captured = gradients.CapturedGradients(trainee)
    for step in (0, 1):  # the second time the graph is replayed with another batch
        seen = train_unet.noised(schedule, batch, step, 2, gpu)
        loss, found = captured(seen, tokens), [p.grad.clone() for p in trainee.networks.parameters()]
        assert torch.allclose(loss, gradients.Gradients(trainee)(seen, tokens), rtol=1e-2)
        for mine, plain in zip(found, trainee.networks.parameters(), strict=True):
            assert plain.grad.isfinite().all()
            assert torch.allclose(mine, plain.grad, rtol=0.1, atol=0.02 * plain.grad.abs().max())
        captured.graph = None  # the plain step gave the parameters other memory for their gradients


def test_a_loss_that_is_no_number_ends_the_training(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(gradients.Gradients, "loss", lambda self, seen, words: words.sum() * float("nan"))
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        train_unet.train(tmp_path, family.build_vae(), Plan(steps=1), CPU)


def test_no_device_is_named_in_passing():
    """The only places that may name the CPU: the choice of a device, and what is exported or carried."""
    folder = Path(samples.__file__).parent
    allowed = {"device.py", "carry.py", "export.py", "checkpoints.py"}
    for path in folder.glob("*.py"):
        if path.name not in allowed and path.name.startswith(
            ("train_", "sheet", "trainee", "drawing", "gradients")
        ):
            lines = [
                line
                for line in path.read_text().splitlines()
                if 'device="cpu"' in line or '.to("cpu")' in line
            ]
            assert not lines, f"{path.name}: {lines}"
