"""A client that is generated from the schema trains and asks for a picture: the schema is the truth."""

import importlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.clients import make_client, make_lora
from diffuser_api.models import Job

pytestmark = pytest.mark.slow  # the generator takes seconds


@pytest.fixture
def generated(client, tmp_path, monkeypatch):
    """The package, made from the schema as the server answers it."""
    schema = client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).content
    (tmp_path / "schema.json").write_bytes(schema)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    command += ["--path", "schema.json", "--output-path", "cartolina_client"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # its formatter is there
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)

    def module(name: str):
        return importlib.import_module(f"cartolina_client{name}")

    return module


def test_a_generated_client_trains_and_asks_for_a_picture(
    generated, live_server, catalogue, photos, settings
):
    settings.OPEN_API, settings.ALLOWED_HOSTS = False, ["localhost"]
    owner, token = make_client("front-end")
    client = generated("").AuthenticatedClient(live_server.url, token["Authorization"].split()[1])
    models, types = generated(".models"), generated(".types")

    [place] = generated(".api.pois.pois_list").sync(client=client)
    assert place.name == "Piazza"

    files = [types.File(io.BytesIO(photo), f"{n}.png", "image/png") for n, photo in enumerate(photos)]
    body = models.LoraTrainingRequest(images=files)
    training = generated(".api.lora_training.lora_training_create").sync(client=client, body=body)
    assert Job.objects.get(code=training.lora_code).photos.count() == 5

    lora = make_lora("20000001", owner)
    wish = models.GenerateImageRequest.from_dict(a_request(selected_lora=lora.code, seed=7))
    picture = generated(".api.generate_image.generate_image_create").sync(client=client, body=wish)
    job = Job.objects.get(code=picture.code)
    assert (job.seed, job.parameters["other_details"], job.client) == (7, "a red coat", owner)

    told = generated(".api.jobs.jobs_retrieve").sync(job.code, client=client)
    assert told.status == "queued" and told.seed == 7
    wrong = models.GenerateImageRequest.from_dict(a_request(poi_name="Nowhere"))
    answer = generated(".api.generate_image.generate_image_create").sync_detailed(client=client, body=wrong)
    assert answer.status_code == 400
