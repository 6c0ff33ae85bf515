"""POST /api/lora-training/<code>/complete/: the LoRA's way in, for the holder of the one-time token."""

import json

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from safetensors.numpy import save

from benchmarks.harness.clients import make_training
from benchmarks.harness.loras import LAYER, WIDTH, small_lora
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job, LoraModel


def a_bfloat16_lora() -> bytes:
    """numpy has no such type, so the file is written by hand: length, header, numbers that are all 1."""
    header, end = {}, 0
    for name, shape in {"lora_down.weight": [4, WIDTH], "lora_up.weight": [WIDTH, 4], "alpha": []}.items():
        begin, end = end, end + 2 * int(np.prod(shape))
        header[f"{LAYER}.{name}"] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"\x80\x3f" * (end // 2)


@pytest.fixture
def training(transactional_db, photos):
    job = status_changes.claim(make_training(photos).code)
    return job, status_changes.issue_token(job)


def deliver(client, code, token, **body):
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return client.post(f"/api/lora-training/{code}/complete/", body, headers=headers)


def lora_file(content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("any.safetensors", content)


def test_a_delivered_lora_can_be_used(client, training, own_data_folder):
    job, token = training
    assert deliver(client, job.code, token, lora=lora_file(small_lora())).status_code == 204
    assert LoraModel.objects.get(code=job.code).file.read() == small_lora()
    assert Job.objects.get().status == "succeeded"
    assert not list(own_data_folder.glob("photos/*"))


def test_how_near_each_checkpoint_came_is_kept_and_shown(client, admin_client, training):
    job, token = training
    likeness = {"step": 80, "distances": {"40": 0.9, "80": 0.42, "120": 0.5}}
    answer = deliver(client, job.code, token, lora=lora_file(small_lora()), likeness=json.dumps(likeness))
    assert answer.status_code == 204
    lora = LoraModel.objects.get(code=job.code)
    assert lora.step == 80 and lora.distances == likeness["distances"]
    page = admin_client.get(f"/admin/diffuser_api/loramodel/{lora.pk}/change/").content.decode()
    assert "0.42, chosen" in page and "step 120" in page


UNREADABLE = ["no JSON", "[]", '{"step": 0, "distances": {}}', '{"step": 1, "distances": {"1": "x"}}']
UNREADABLE += ['{"step": "1_0", "distances": {}}', '{"step": 1, "distances": {"1": "1_0.5"}}']
UNREADABLE += ['{"step": 1, "distances": {"1_0": 0.5}}', '{"step": 1, "distances": {"first": 0.5}}']


@pytest.mark.parametrize("likeness", UNREADABLE)
def test_a_likeness_that_cant_be_read_is_refused(likeness, client, training):
    job, token = training
    answer = deliver(client, job.code, token, lora=lora_file(small_lora()), likeness=likeness)
    assert answer.status_code == 400 and not LoraModel.objects.exists()


@pytest.mark.parametrize("token", [None, "", "wrong", "é" * 20, "x" * 10_000])
def test_a_wrong_or_missing_token_is_refused(token, client, training):
    job, _ = training
    answer = deliver(client, job.code, token, lora=lora_file(small_lora()))
    assert answer.status_code == 403 and "token" in answer.json()["detail"]
    assert not LoraModel.objects.exists() and Job.objects.get().status == "running"


def test_a_token_works_once(client, training):
    job, token = training
    deliver(client, job.code, token, lora=lora_file(small_lora()))
    assert deliver(client, job.code, token, lora=lora_file(small_lora())).status_code == 403
    assert LoraModel.objects.count() == 1


def test_a_token_of_another_job_is_refused(client, training, photos):
    job, token = training
    other = status_changes.claim(make_training(photos).code)
    assert deliver(client, other.code, token, lora=lora_file(small_lora())).status_code == 403


def test_a_reported_failure_fails_the_job_with_its_reason(client, training):
    job, token = training
    assert deliver(client, job.code, token, error="The loss is not a number.").status_code == 204
    answer = client.get(f"/api/jobs/{job.code}/").json()
    assert answer["status"] == "failed"
    assert answer["error"] == {"code": "training_failed", "message": "The loss is not a number."}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not safetensors",
        small_lora()[:100],
        save({"unet.weight": np.ones(3, np.float32)}),
        small_lora(**{f"{LAYER}.alpha": np.array(np.nan, np.float16)}),
        small_lora(**{f"{LAYER}.lora_up.weight": np.full((WIDTH, 4), np.inf, np.float32)}),
        small_lora(**{f"{LAYER}.lora_up.weight": np.ones((WIDTH, 3), np.float16)}),
        small_lora(**{f"{LAYER}.lora_up.weight": np.ones((WIDTH, 4, 1, 1), np.float16)}),
        small_lora(**{f"{LAYER}.lora_down.weight": np.ones((0, WIDTH), np.float16)}),
        small_lora(**{f"{LAYER}.lora_down.weight": np.ones((4, WIDTH), np.int32)}),
        small_lora(**{f"{LAYER}.alpha": np.ones(2, np.float16)}),
        save({f"{LAYER}.lora_down.weight": np.ones((4, WIDTH), np.float16)}),
        save({f"{LAYER}/../x.alpha": np.ones(1, np.float16)}),
        save({f"{LAYER}{n}.alpha": np.ones(1, np.float16) for n in range(5001)}),
        (2**62).to_bytes(8, "little") + small_lora()[8:],
        small_lora() + b"\0" * 100,
        b"PK\x03\x04" + b"\0" * 500,
    ],
    ids=[
        "empty",
        "text",
        "cut off",
        "other keys",
        "not a number",
        "infinite",
        "ranks differ",
        "flat and deep",
    ]
    + [
        "no rank",
        "whole numbers",
        "two alphas",
        "half a layer",
        "path",
        "too many",
        "huge header",
        "tail",
        "zip",
    ],
)
def test_a_file_that_is_no_lora_is_refused(content, client, training, own_data_folder):
    job, token = training
    answer = deliver(client, job.code, token, lora=lora_file(content))
    assert answer.status_code == 400 and list(answer.json()) == ["lora"]
    assert not LoraModel.objects.exists() and Job.objects.get().status == "running"
    assert not list(own_data_folder.glob("loras/*"))


@pytest.mark.parametrize("changes", [{}, {"convolution": True}, {"bfloat16": True}])
def test_every_kind_of_lora_is_taken(changes, client, training):
    job, token = training
    content = small_lora()
    if "convolution" in changes:
        layer = "lora_unet_down_blocks_0_resnets_0_conv1"
        down, up = np.ones((4, 48, 3, 3), np.float16), np.ones((48, 4, 1, 1), np.float16)
        content = small_lora(**{f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up})
    if "bfloat16" in changes:
        content = a_bfloat16_lora()
    assert deliver(client, job.code, token, lora=lora_file(content)).status_code == 204


def test_neither_file_nor_error_is_refused(client, training):
    job, token = training
    assert deliver(client, job.code, token).status_code == 400
