"""launch.bash and post-back.py by themselves, in a folder with an awkward name, and what they send."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from PIL import Image
from safetensors.torch import load

from benchmarks.harness import ROOT
from generation.miniature import demo_content
from generation.miniature.world import people

CODE = "12345678"


class Receiver:
    """Keeps what is posted to it, and answers with the given statuses, the last for good."""

    def __init__(self, *statuses: int, port: int = 0) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        receiver, left = self, list(statuses) or [204]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, self.headers["Authorization"], body))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def field(self, name: str) -> bytes:
        """The content of a part of the only request's body."""
        [(_, _, body)] = self.requests
        [part] = re.findall(
            rb'name="%s"[^\0]*?\r\n\r\n(.*)\r\n--[0-9a-f]+--' % name.encode(), body, re.DOTALL
        )
        return part


@pytest.fixture
def receiver():
    started = Receiver()
    yield started
    started.server.shutdown()


@pytest.fixture
def project(tmp_path):
    """The two folders that a training needs, under a path with spaces and an apostrophe, and three photos."""
    project = tmp_path / "a visitor's project"
    for folder in ("training-app", "kohya-scripts"):
        shutil.copytree(ROOT / folder, project / folder, ignore=shutil.ignore_patterns("training-*"))
    photos = project / "training-app" / "training-input" / CODE / "2_sks person"
    photos.mkdir(parents=True)
    for number in range(3):
        Image.radial_gradient("L").rotate(90 * number).convert("RGB").save(photos / f"{number}.png")
    return project


def start(project: Path, receiver: Receiver, model: Path, **variables: str) -> subprocess.Popen:
    environment = {
        "PATH": os.environ["PATH"],
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHON": sys.executable,
        "MODEL": str(model),
        "RESOLUTION": "64,64",
        "MAX_TRAIN_STEPS": "4",
        "SERVER_URL": receiver.url,
        "CALLBACK_TOKEN": "the token",
    }
    return subprocess.Popen(
        ["bash", str(project / "training-app" / "launch.bash"), CODE],
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )


def trainer_of(process: subprocess.Popen) -> psutil.Process:
    """The running trainer, once it has told of its first step."""
    assert process.stdout.readline()
    children = psutil.Process(process.pid).children(recursive=True)
    [trainer] = [child for child in children if "train_network.py" in " ".join(child.cmdline())]
    return trainer


def left_behind(project: Path) -> list[Path]:
    app = project / "training-app"
    return [path for name in ("training-input", "training-output") for path in (app / name).glob("*")]


@pytest.mark.parametrize("line_ends", ["unix", "dos"])
def test_a_lora_is_delivered_and_nothing_is_left(line_ends, project, receiver, small_models):
    script = project / "training-app" / "launch.bash"
    if line_ends == "dos":
        script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    process = start(project, receiver, small_models / "text2img")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert receiver.requests[0][:2] == (f"/api/lora-training/{CODE}/complete/", "Bearer the token")
    assert any(name.startswith("lora_unet_") for name in load(receiver.field("lora")))
    assert left_behind(project) == []


def test_a_failure_at_once_is_reported_with_its_reason(project, receiver):
    process = start(project, receiver, project / "no-model")
    process.communicate(timeout=300)
    assert process.returncode == 1
    assert b"no-model" in receiver.field("error")
    assert left_behind(project) == []


def test_a_failure_in_the_middle_is_reported_with_its_reason(project, receiver, small_models):
    """A learning rate so high that the loss soon is no number."""
    process = start(project, receiver, small_models / "text2img", UNET_LR="1e30", MAX_TRAIN_STEPS="100")
    process.communicate(timeout=300)
    assert process.returncode == 1
    assert re.search(rb"the loss is (nan|inf) in step \d+", receiver.field("error"))
    assert left_behind(project) == []


def test_a_killed_trainer_is_reported_as_killed(project, receiver, small_models):
    process = start(project, receiver, small_models / "text2img", MAX_TRAIN_STEPS="100000")
    trainer_of(process).kill()
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert receiver.field("error") == b"the training was killed (signal 9): is there enough memory?"
    assert left_behind(project) == []


def test_an_interrupted_training_goes_on_from_its_checkpoint(project, receiver, small_models):
    variables = {"MAX_TRAIN_STEPS": "100000", "SAVE_EVERY_N_STEPS": "5", "KEEP_INTERRUPTED": "1"}
    process = start(project, receiver, small_models / "text2img", **variables)
    output = project / "training-app" / "training-output" / CODE
    trainer = trainer_of(process)
    while not list(output.glob("*-state/state.pt")):
        assert process.poll() is None
        time.sleep(0.05)
    trainer.kill()
    process.communicate(timeout=60)
    assert process.returncode == 137 and not receiver.requests
    [state] = output.glob("*-state")
    done = int(state.name.removeprefix(f"{CODE}-step").removesuffix("-state"))
    variables["MAX_TRAIN_STEPS"] = str(done + 2)
    process = start(project, receiver, small_models / "text2img", **variables)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert json.loads(said.splitlines()[0])["done"] == done
    assert receiver.field("lora") and left_behind(project) == []


def test_sample_pictures_show_what_is_learned_until_a_signal_ends_the_trainer_too(
    project, receiver, small_models
):
    variables = {"MAX_TRAIN_STEPS": "100000", "SAMPLE_EVERY_N_STEPS": "2", "SAMPLE_PROMPT": "a face --s 2"}
    process = start(project, receiver, small_models / "text2img", **variables)
    trainer = trainer_of(process)
    shown = project / "training-app" / "training-output" / CODE / "sample"
    while len(list(shown.glob("*.png"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    for path in shown.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert picture.size == (64, 64)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143 and not trainer.is_running()
    assert left_behind(project) == []


def test_checkpoints_are_compared_with_the_photos_and_their_distances_reported(
    project, receiver, small_models
):
    """Of a network that paints no faces all are alike, so the last one is taken."""
    (project / "generation").symlink_to(ROOT / "generation")
    [photos] = (project / "training-app" / "training-input" / CODE).iterdir()
    for number, photo in enumerate(demo_content.photos_of(people.random_person(1_000_900), 1_000_900)[:3]):
        photo.save(photos / f"{number}.png")
    variables = {"SAMPLE_EVERY_N_STEPS": "2", "SAVE_EVERY_N_STEPS": "2", "SAMPLE_PROMPT": "a face --s 1"}
    process = start(project, receiver, small_models / "text2img", CHOOSE_CHECKPOINT="1", **variables)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    assert json.loads(receiver.field("likeness")) == {"step": 4, "distances": {"2": 1.5, "4": 1.5}}
    assert left_behind(project) == []


def test_a_trained_lora_that_was_not_delivered_is_not_trained_again(project, receiver, small_models):
    output = project / "training-app" / "training-output" / CODE
    output.mkdir(parents=True)
    (output / f"{CODE}.safetensors").write_bytes(b"trained before")
    process = start(project, receiver, small_models / "text2img", KEEP_INTERRUPTED="1")
    process.communicate(timeout=60)
    assert process.returncode == 0 and receiver.field("lora") == b"trained before"
    assert left_behind(project) == []


def test_the_trainer_ends_when_the_shell_is_killed(project, receiver, small_models):
    process = start(project, receiver, small_models / "text2img", MAX_TRAIN_STEPS="100000")
    trainer = trainer_of(process)
    process.kill()
    process.wait(30)
    assert trainer in psutil.wait_procs([trainer], timeout=30)[0]


@pytest.mark.parametrize("code", ["", "1234567", "123456789", "../12345", "1234567\n", "١٢٣٤٥٦٧٨"])
def test_a_malformed_code_is_refused(code):
    done = subprocess.run(
        ["bash", str(ROOT / "training-app" / "launch.bash"), code], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2 and "CODE is 8 digits" in done.stderr


def post_back(url: str, *arguments: str, token: str | None = "the token") -> subprocess.Popen:
    environment = {"PATH": os.environ["PATH"], "SERVER_URL": url} | (
        {"CALLBACK_TOKEN": token} if token else {}
    )
    command = [sys.executable, str(ROOT / "training-app" / "post-back.py"), CODE, *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_post_back_tries_again_until_the_server_is_there():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = post_back(f"http://127.0.0.1:{port}", "--error", "out of memory")
    for _ in range(2):
        assert "trying again" in process.stderr.readline()
    receiver = Receiver(port=port)
    process.communicate(timeout=60)
    receiver.server.shutdown()
    assert process.returncode == 0
    assert receiver.field("error") == b"out of memory"


def test_post_back_tries_again_after_a_server_error():
    receiver = Receiver(503, 429, 204)
    process = post_back(receiver.url, "--error", "out of memory")
    process.communicate(timeout=60)
    receiver.server.shutdown()
    assert process.returncode == 0 and len(receiver.requests) == 3


@pytest.mark.parametrize("status", [400, 403, 409, 302])
def test_post_back_gives_up_when_it_is_refused(status):
    receiver = Receiver(status)
    process = post_back(receiver.url, "--error", "out of memory")
    _, errors = process.communicate(timeout=60)
    receiver.server.shutdown()
    assert process.returncode == 1 and f"the server refuses: {status}" in errors.splitlines()[-1]
    assert len(receiver.requests) == 1


def test_post_back_without_a_token_sends_nothing(receiver):
    process = post_back(receiver.url, "--error", "out of memory", token=None)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "CALLBACK_TOKEN is not set" in errors
    assert not receiver.requests
