"""Where a step's process comes from: the same picture every way, nothing left after kills, weights untouched.

``KILLS=50 pytest tests/generation/test_isolation.py -k killed`` kills more often than the suite has time for.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from benchmarks.harness import ROOT, forked_module
from benchmarks.harness.job_folders import make_job, same_pixels
from benchmarks.harness.running_worker import wait_until
from generation import generator, generator_classic, job_folder, step_table
from generation.models.profiles import get_profile
from generation.processes import isolation, step_server

pytestmark = pytest.mark.usefixtures("few_steps")
KILLS = int(os.environ.get("KILLS", "3"))
GENERATOR = """
import sys
from pathlib import Path
from generation import generator

def tell(event):
    if event["event"] != "waiting":
        print(event["event"], flush=True)

for job in sys.stdin:
    try:
        picture = generator.generate(Path(job.strip()), tell)
        print("done", picture, flush=True)
    except generator.StepFailed as error:
        print("failed", error, flush=True)
"""


@pytest.fixture(scope="module")
def classic(family, few_steps, tmp_path_factory):
    """The picture that all must make, and its folder."""
    job = make_job(tmp_path_factory.mktemp("classic") / "1", lora=family / "lora.safetensors")
    return generator_classic.generate(job)


@dataclass(frozen=True)
class TemplateRun:
    job: Path
    steps: list[dict]  # the steps' reports
    threads: int  # of the template, after the picture
    opened: list[str]  # what the template has open
    way: isolation.Template  # still runs


@pytest.fixture(scope="module")
def template_run(family, few_steps, tmp_path_factory):
    """A picture by a template that wasn't there before."""
    job = make_job(tmp_path_factory.mktemp("template") / "1", lora=family / "lora.safetensors")
    way, events = isolation.Template(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolation, "chosen", lambda: way)
        generator.generate(job, events.append)
    proc = Path(f"/proc/{way.process.pid}")
    with contextlib.suppress(AssertionError):  # it has yet to close what belonged to the last step
        wait_until(lambda: sum(name.startswith("socket:") for name in opened_by(proc)) == 1, 10)
    threads, opened = len(list((proc / "task").iterdir())), opened_by(proc)
    yield TemplateRun(job, [event for event in events if event["event"] == "step"], threads, opened, way)
    way.close()


@pytest.fixture
def template(monkeypatch):
    """A template that only one test uses."""
    own = isolation.Template()
    monkeypatch.setattr(isolation, "chosen", lambda: own)
    yield own
    own.close()


def nothing(*_) -> None:
    """A listener that does nothing."""


def opened_by(proc: Path) -> list[str]:
    opened = []
    for descriptor in (proc / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            opened.append(os.readlink(descriptor))
    return opened


def descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(pid for child in children for pid in descendants(child))]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def shared_memory() -> set[str]:
    """What torch and Python have there. Other programs, such as a database, use it too."""
    return {name for name in os.listdir("/dev/shm") if name.startswith(("torch_", "psm_", "sem.", "pymp-"))}


def all_end(pids: list[int], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_running, pids))


# --- the same picture ---------------------------------------------------------------------------------------


def test_template_makes_the_picture_of_classic(template_run, classic):
    assert same_pixels(template_run.job / "unmarked.png", classic)


def test_a_request_that_comes_while_the_template_starts_waits_and_is_served(template_run):
    waited = [step["import_seconds"] for step in template_run.steps]
    assert waited[0] > 0 and waited[1:] == [0] * 4


def test_steps_leave_their_pictures_and_no_process(template_run):
    assert not any(Path(f"/proc/{step['pid']}").exists() for step in template_run.steps)
    pictures = [f"{index}-{name}.png" for index, name in enumerate(("background", *step_table.ORDER))]
    given = ["background.png", "face-mask.png", "lora.safetensors", "request.json", "skeleton.png"]
    names = sorted(path.name for path in template_run.job.iterdir())
    assert names == sorted([*pictures, *given, "subject-mask.png", "unmarked.png"])


def test_the_face_step_writes_its_pictures_and_little_else(template_run):
    written = template_run.steps[4]["written_mb"] * 2**20  # to files and pipes; progress is some 20 lines
    pictures = sum((template_run.job / name).stat().st_size for name in ("5-face.png", "unmarked.png"))
    assert written < pictures + 16_384


def test_the_template_is_one_thread_and_holds_one_socket(template_run):
    assert template_run.threads == 1
    assert len([name for name in template_run.opened if name.startswith("socket:")]) == 1
    assert not [name for name in template_run.opened if "sqlite" in name or "/nvidia" in name]


def test_resident_makes_the_picture_of_classic_also_after_another_lora(
    classic, family, tmp_path, monkeypatch
):
    monkeypatch.setattr(step_server, "start_module", forked_module.start)
    way = isolation.Resident()
    monkeypatch.setattr(isolation, "chosen", lambda: way)
    try:
        way.prepare(get_profile("miniature"), list(step_table.STEPS))
        pids = []
        for name, lora, same in (("1", "lora-2", False), ("2", "lora", True), ("3", "lora", True)):
            job = make_job(tmp_path / name, lora=family / f"{lora}.safetensors")
            events = []
            assert same_pixels(generator.generate(job, events.append), classic) == same
            pids.append([event["pid"] for event in events if event["event"] == "step"])
        assert pids[0] == pids[1] == pids[2]
        assert len(set(pids[0])) == 3 and pids[0][1] == pids[0][2] == pids[0][3]
    finally:
        way.close()
    assert all_end(list(set(pids[0])), 0)


@pytest.mark.parametrize("index", [1, 5])
def test_spawn_makes_the_step_of_template(index, template_run, family, tmp_path, monkeypatch):
    monkeypatch.setenv("STEP_ISOLATION", "spawn")
    job = make_job(tmp_path / "1", lora=family / "lora.safetensors")
    for before in range(index):
        picture = job_folder.picture_path(template_run.job, before)
        (job / picture.name).write_bytes(picture.read_bytes())
    events = []
    generator.run_step(step_table.ORDER[index - 1], index, job, get_profile("miniature"), events.append)
    assert same_pixels(job_folder.picture_path(job, index), job_folder.picture_path(template_run.job, index))
    [report] = [event for event in events if event["event"] == "step"]
    assert report["import_seconds"] > 0 and not Path(f"/proc/{report['pid']}").exists()


# --- the template's weights ---------------------------------------------------------------------------------


def test_a_templates_weights_stay_the_same_whoever_visits(family, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(step_server, "start_module", forked_module.start)
    checked = step_server.Server("benchmarks.harness.checked_fork_server", list(step_table.STEPS))
    for number, lora in enumerate(("lora-2", "lora", "lora-2")):
        job = make_job(tmp_path / str(number), lora=family / f"{lora}.safetensors")
        with (tmp_path / "stderr").open("w+") as stderr:
            for name in step_table.planned(with_lora=True):
                assert checked.run(get_profile("miniature"), name, job, stderr, nothing, nothing) == 0
    checked._control.close()
    checked.process.wait(60)
    [line] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("checksums: ")]
    before, after = line.split()[1:]
    assert before == after and len(before) == 64


def test_parts_are_shared_and_the_budget_drops_the_least_recently_used(family):
    from generation.models import pipelines

    profile = get_profile("miniature")
    cache = pipelines.PipelineCache()
    pose, detail, harmonize, face = (cache.fetch(name, profile) for name in step_table.STEPS)
    assert face["unet"] is pose["unet"] and harmonize["unet"] is detail["unet"]
    assert detail["unet"] is not pose["unet"]
    for part in ("vae", "text_encoder", "tokenizer"):
        assert detail[part] is pose[part]
    of_all = cache.megabytes()

    small = pipelines.PipelineCache(budget_mb=0)  # only what the step at hand needs
    kept = {}
    for name in step_table.STEPS:
        small.fetch(name, profile)
        kept[name] = {(ref.id.rpartition("/")[2], part) for ref, part in small.parts}
    assert ("controlnet", "controlnet") in kept["pose"] and ("controlnet", "controlnet") not in kept["detail"]
    assert ("inpaint", "unet") not in kept["harmonize"] and ("text2img", "unet") not in kept["face"]
    assert small.megabytes() < of_all

    middle = pipelines.PipelineCache(budget_mb=of_all - 0.001)  # not all of it: the oldest goes
    for name in ("detail", "pose"):
        middle.fetch(name, profile)
    assert not any(part == "unet" and ref == profile.detail_model for ref, part in middle.parts)
    assert any(part == "unet" and ref == profile.inpaint_model for ref, part in middle.parts)


def test_a_changed_model_or_setting_renews_the_template(family, template, monkeypatch):
    profile = get_profile("miniature")
    pids = []

    def start() -> None:
        template.start(get_profile("miniature"))
        pids.append(template.process.pid)

    start()
    start()
    assert pids[0] == pids[1]
    weights = family / "controlnet" / "diffusion_pytorch_model.safetensors"
    os.utime(weights)
    start()
    assert pids[2] != pids[1] and not is_running(pids[1])
    monkeypatch.setenv("TEMPLATE_MEMORY_MB", "64")
    start()
    assert pids[3] != pids[2] and not is_running(pids[2])
    monkeypatch.setenv("DETAIL_MODEL", profile.inpaint_model.id)
    start()
    assert pids[4] != pids[3] and not is_running(pids[3])


@pytest.mark.parametrize(
    ("module", "status", "said"),
    [
        ("benchmarks.harness.killed_at_once", -signal.SIGKILL, ""),
        ("benchmarks.harness.ended_at_once", 1, "ended before the step began"),
    ],
)
def test_a_template_that_ends_before_the_step_begins_gives_its_status_and_reason(
    module, status, said, family, tmp_path
):
    """A signal's end can be tried again, as a killed step's; another would come again."""
    job = make_job(tmp_path / "1")
    with (tmp_path / "stderr").open("w+") as stderr:
        server = step_server.Server(module, [])
        assert server.run(get_profile("miniature"), "pose", job, stderr, nothing, nothing) == status
        stderr.seek(0)
        assert said in stderr.read()


def test_an_unknown_step_isolation_is_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setenv("STEP_ISOLATION", "thread")
    with pytest.raises(ValueError, match="template, spawn, resident"):
        isolation.chosen_name()


# --- ends ---------------------------------------------------------------------------------------------------


class Cancelled(BaseException):
    pass


def test_leaving_a_generation_ends_the_step_and_keeps_the_template(
    template_run, family, tmp_path, monkeypatch
):
    monkeypatch.setattr(isolation, "chosen", lambda: template_run.way)
    template, job = template_run.way, make_job(tmp_path / "1", lora=family / "lora.safetensors")
    children = []

    def leave(event: dict) -> None:
        if event["event"] == "progress":
            children.extend(descendants(template.process.pid))
            raise Cancelled

    with pytest.raises(Cancelled):
        generator.generate(job, leave)
    assert len(children) == 1 and not is_running(children[0])
    assert not job_folder.picture_path(job, 1).exists()
    before = template.process.pid
    assert generator.generate(job) == job / "unmarked.png" and template.process.pid == before


@pytest.mark.parametrize("way", list(isolation.WAYS))
def test_leaving_while_waiting_ends_the_step_and_all_that_it_started(way, family, tmp_path, monkeypatch):
    """Whoever waits is called at least every 0.3 s in its own thread, first while libraries are imported."""
    own = isolation.WAYS[way]()
    monkeypatch.setattr(isolation, "chosen", lambda: own)
    job, others = make_job(tmp_path / "1"), set(descendants(os.getpid()))
    started, calls = [], []

    def leave(event: dict) -> None:
        if event["event"] == "waiting":
            calls.append((time.monotonic(), threading.get_ident()))
        if len(calls) == 3:
            started.extend(set(descendants(os.getpid())) - others)
            raise Cancelled

    with pytest.raises(Cancelled):
        generator.generate(job, leave)
    assert started and not any(map(is_running, started))
    assert {thread for _, thread in calls} == {threading.get_ident()}
    assert not job_folder.picture_path(job, 1).exists()
    own.close()


def test_leaving_while_the_template_starts_ends_it(template, family, tmp_path):
    job = make_job(tmp_path / "1")
    others = set(descendants(os.getpid()))  # another test's template may still be there

    def interrupt(number, frame):
        raise Cancelled

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        with pytest.raises(Cancelled):
            generator.generate(job)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert template.process is None
    assert all_end(list(set(descendants(os.getpid())) - others))


def test_killed_at_any_moment_nothing_is_left_and_the_next_picture_is_right(template_run, family, tmp_path):
    """Child, template and generator in turn, with SIGKILL at a random moment of a generation."""
    dice = random.Random(7)
    work = tmp_path / "work"
    work.mkdir()
    before = shared_memory()
    first = template_run.job / "unmarked.png"
    process = None
    for number in range(KILLS):
        victim = ("child", "template", "generator")[number % 3]
        if process is None:
            process = _start_generator(work)
        job = make_job(work / f"{number}", lora=family / "lora.safetensors")
        process.stdin.write(f"{job}\n")
        process.stdin.flush()
        _wait_for_begin(process, dice.randrange(1, 15))
        time.sleep(dice.uniform(0, 0.2))
        tree = descendants(process.pid)
        [template] = [pid for pid in tree if "generation.processes.fork_server" in _command(pid)][:1]
        children = descendants(template)
        targets = {"child": children, "template": [template], "generator": [process.pid]}[victim]
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        if victim == "generator":
            process.communicate()
            process = None
            assert all_end(tree)
        else:
            ended = _last_line(process)
            assert ended.startswith(("done ", "failed step "))
            assert all_end(children)
            if targets and ended.startswith("failed"):
                assert "signal 9" in ended
        process = process or _start_generator(work)
        process.stdin.write(f"{job}\n")  # goes on from its newest picture
        process.stdin.flush()
        assert _last_line(process) == f"done {job / 'unmarked.png'}"
        assert same_pixels(job / "unmarked.png", first)
        assert not list(job.glob("*.tmp"))
    tree = descendants(process.pid)
    process.stdin.close()
    process.wait(60)
    process.stdout.close()
    assert all_end(tree)
    assert shared_memory() <= before  # others may have given theirs back
    assert not [path for path in work.iterdir() if not path.name.isdigit()]


def _start_generator(folder: Path) -> subprocess.Popen:
    environment = os.environ | {"STEP_ISOLATION": "template", "TMPDIR": str(folder)}
    command = [sys.executable, "-c", GENERATOR]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def _wait_for_begin(process: subprocess.Popen, events: int) -> None:
    for _ in range(1 + events):
        assert process.stdout.readline().strip() in ("plan", "begin", "progress", "step")


def _last_line(process: subprocess.Popen) -> str:
    for line in process.stdout:
        if line.startswith(("done ", "failed ")):
            return line.strip()
    return "the generator has ended"


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_steps_process_inherits_no_secret(monkeypatch):
    for name in step_server.SECRETS:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("MEMORY_PLAN", "auto")
    process = step_server.start_module(["code"], subprocess.PIPE, subprocess.DEVNULL, None)
    deadline = time.monotonic() + 20
    inherited = {}
    while "MEMORY_PLAN" not in inherited and time.monotonic() < deadline:  # until then it is still a fork
        inherited = psutil.Process(process.pid).environ()
        time.sleep(0.01)
    step_server.end(process)
    process.stdin.close()
    assert "secret" not in inherited.values() and inherited["MEMORY_PLAN"] == "auto"
