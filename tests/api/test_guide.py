"""The calls of README and docs/api.md, pasted into a shell one after the other, as the guide says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from benchmarks.harness import ROOT
from benchmarks.harness.running_service import RunningService
from benchmarks.harness.simulated.steps import VARIABLE

# A training is far longer than the calls that follow it: whoever doesn't wait for it gets no face.
SECONDS = {"pose": 0.4, "detail": 0.1, "harmonize": 0.1, "face": 0.1, "train": 6}
pytestmark = [pytest.mark.slow, pytest.mark.service]


@pytest.fixture
def service(tmp_path):
    """Its worker only waits instead of painting and training. The web server is the real one."""
    service = RunningService(
        tmp_path / "service", small=False, beside=(), threads=4, **{VARIABLE: json.dumps(SECONDS)}
    )
    service.commands["worker"] = ["-m", "benchmarks.harness.simulated.worker", "--interval", "0.1"]
    try:
        service.start_again()
        yield service
    finally:
        service.stop()


def calls() -> str:
    """README's call without a face, and the guide's down to those of an operator."""
    readme = (ROOT / "README.md").read_text().partition("\n## The API\n")[2].partition("\n## ")[0]
    guide = (ROOT / "docs/api.md").read_text().partition("\n## Tokens\n")[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", readme + guide, re.DOTALL | re.MULTILINE))


def test_the_calls_of_readme_and_guide_succeed_in_their_order(service, tmp_path):
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / ".curlrc").write_text("fail\n")  # an answer of 400 or more ends the script
    script = calls().replace("http://127.0.0.1:8000", service.url)
    assert script.count("curl") > 15
    environment = os.environ | {"CURL_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = ["bash", "-euxo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"failed"' not in done.stdout
    assert json.loads((tmp_path / "picture.json").read_text())["lora_used"]
    assert Image.open(tmp_path / "picture.png").size
    assert (tmp_path / "postcard.pdf").read_bytes().startswith(b"%PDF")
