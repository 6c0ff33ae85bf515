"""A LoRA and the models of today: refused where it is delivered, or named where it is asked for."""

import io
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from safetensors.numpy import save

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.loras import LAYER, WIDTH, small_lora
from diffuser_api.jobs import orders, run_generation, status_changes
from diffuser_api.models import Job, LoraModel
from generation.models import lora_fit
from generation.models.profiles import get_profile

URL = "/api/generate-image/"
OTHERS = {lora_fit.BASE_HASH: "0123456789abcdef" * 4}


def unknown_layer(prefix: str = "lora_unet_no_such_layer") -> bytes:
    down, up = np.ones((4, 8), np.float32), np.ones((8, 4), np.float32)
    return save({f"{prefix}.lora_down.weight": down, f"{prefix}.lora_up.weight": up})


def other_shapes() -> bytes:
    down, up = np.ones((4, 2 * WIDTH), np.float16), np.ones((WIDTH, 4), np.float16)
    return small_lora(**{f"{LAYER}.lora_down.weight": down, f"{LAYER}.lora_up.weight": up})


MISFITS = {
    "damaged": b"lora",
    "unknown_layers": unknown_layer(),
    "other_shapes": other_shapes(),
    "other_base": small_lora(OTHERS),
}


def keep(content: bytes, code: str = "12345678") -> LoraModel:
    return LoraModel.objects.create(code=code, file=ContentFile(content, f"{code}.safetensors"))


@pytest.fixture
def other_model(monkeypatch, tmp_path):
    """A copy of the training's model, of which one number is another."""
    folder = shutil.copytree(get_profile().training_model.id, tmp_path / "other")
    path = folder / lora_fit.UNET
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")

    def switch() -> None:
        monkeypatch.setenv("TRAINING_MODEL", str(folder))

    return switch


@pytest.mark.parametrize("code", ["unknown_layers", "other_shapes"])
def test_a_lora_that_the_model_has_no_place_for_is_refused_where_it_is_delivered(code, client, db):
    job = status_changes.claim(orders.create_job(orders.TrainingOrder(photos=())).code)
    headers = {"Authorization": f"Bearer {status_changes.issue_token(job)}"}
    body = {"lora": SimpleUploadedFile("l.safetensors", MISFITS[code])}
    answer = client.post(f"/api/lora-training/{job.code}/complete/", body, headers=headers)
    assert answer.status_code == 400 and "the server's model" in answer.json()["lora"][0].lower()
    assert not LoraModel.objects.exists()


@pytest.mark.parametrize("code", MISFITS)
def test_a_lora_that_does_not_fit_is_not_used_and_the_answer_says_why(code, client, catalogue):
    keep(MISFITS[code])
    answer = client.post(URL, a_request(selected_lora="12345678"), "application/json")
    assert answer.status_code == 202 and answer.json()["lora_used"] is False
    assert answer.json()["lora_problem"]["code"] == code
    assert "train" in answer.json()["lora_problem"]["message"]
    assert Job.objects.get().steps == ["pose", "detail", "detail", "harmonize"]


@pytest.mark.parametrize("known", [True, False])
def test_a_lora_of_todays_base_and_one_from_before_hashes_are_used(known, client, catalogue):
    today = lora_fit.base_hash(get_profile().training_model)
    keep(small_lora({lora_fit.BASE_HASH: today} if known else {lora_fit.BASE_HASH: "IsADirectory"}))
    answer = client.post(URL, a_request(selected_lora="12345678"), "application/json").json()
    assert answer["lora_used"] is True and "lora_problem" not in answer


def test_a_picture_whose_lora_lost_its_base_while_it_waited_fails_before_it_is_painted(
    client, catalogue, other_model
):
    keep(small_lora({lora_fit.BASE_HASH: lora_fit.base_hash(get_profile().training_model)}))
    answer = client.post(URL, a_request(selected_lora="12345678"), "application/json").json()
    assert answer["lora_used"] is True
    other_model()
    run_generation.run(status_changes.claim(answer["code"]), SimpleNamespace())
    job = Job.objects.get()
    assert (job.status, job.error_code, job.timings) == ("failed", "lora_unusable", [])
    assert "another base model" in job.error_message
    with pytest.raises(orders.CantRunAgain, match="another base model"):
        orders.order_again(job, seed=None)


def test_the_command_models_lists_the_loras_that_fit_no_more(db, other_model):
    keep(small_lora({lora_fit.BASE_HASH: lora_fit.base_hash(get_profile().training_model)}))
    keep(other_shapes(), "87654321")
    said = io.StringIO()
    call_command("models", stdout=said)
    assert "1 LoRA" in said.getvalue() and "12345678" not in said.getvalue()
    other_model()
    said = io.StringIO()
    call_command("models", stdout=said)
    assert "12345678: This LoRA was trained on another base model" in said.getvalue()
    assert f"87654321: The LoRA's layer {LAYER} has the shapes" in said.getvalue()
