"""The same road with MODEL_PROFILE=sd15, its ids pointed at another family in local folders."""

import io

import pytest
from PIL import Image

from benchmarks.harness.api_client import get_bytes, post_json, post_photos, wait_for
from benchmarks.harness.catalogue import make_photos


@pytest.fixture(scope="module")
def service(sd15_family, request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINING_STEPS", "10")
        patch.setenv("DENOISING_STEPS", "4")
        yield request.getfixturevalue("server_and_worker")


def test_five_photos_become_a_picture(service, small_models):
    _, training = post_photos(f"{service.url}/api/lora-training/", make_photos())
    trained = wait_for(training["status_url"], 900)[-1]
    assert trained["status"] == "succeeded", trained
    request = {
        "poi_name": "Lago Alto",
        "poi_image": "lake at dusk",
        "action_prompt": "jumping for joy",
        "dynamic_action_selection": True,
        "action_shot_type": "MES",
        "age": "young",
        "gender": "woman",
        "selected_lora": training["lora_code"],
    }
    _, answer = post_json(f"{service.url}/api/generate-image/", request)
    assert answer["lora_used"] is True and answer["action"] == "jumping"
    painted = wait_for(answer["status_url"], 600)[-1]
    assert painted["status"] == "succeeded", painted
    assert [timing["step"] for timing in painted["timings"]][-1] == "face"
    assert painted["timings"][0]["models"] == [
        f"{small_models.name}/{name}" for name in ("inpaint", "controlnet")
    ]
    width, height = Image.open(io.BytesIO(get_bytes(answer["output_url"]))).size
    assert 512 * 512 <= width * height <= 512 * 768
