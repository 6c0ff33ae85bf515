"""A whole picture, one process per step: ``python -m generation.generator REQUEST.json``.

A process grows each time it exchanges one diffusion model for another: it returns all of its memory to the
system only when it ends. So each step runs in an operating-system process of its own
(``processes.isolation``). It reads the previous step's picture from the job's folder and writes its own
picture there. ``generator_classic`` does the same steps in one process: read it first. This module imports no
torch, so that the job worker can call it.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from generation import job_folder, repaint
from generation.models import safety
from generation.models.profiles import ModelProfile, get_profile
from generation.processes import isolation
from generation.record import new_record
from generation.request import GenerationRequest, InvalidRequest
from generation.step_table import ORDER, planned

ROOT = Path(__file__).resolve().parent.parent
log = logging.getLogger(__name__)


class StepFailed(RuntimeError):
    """A step's process ended without writing its picture.

    ``killed``: a signal ended the process, so the same step may succeed at the next try. Otherwise the text
    ends with the reason that the process gave.
    """

    def __init__(self, step: str, reason: str, killed: bool = False):
        super().__init__(f"step {step} failed: {reason}")
        self.step, self.reason, self.killed = step, reason, killed


class NotServed(Exception):
    """The next step is none that this caller does. The folder holds everything that another needs for it."""

    def __init__(self, step: str):
        super().__init__(step)
        self.step = step


def generate(
    job: Path,
    on_event: Callable[[dict], None] | None = None,
    request: GenerationRequest | None = None,
    served: Collection[str] = ORDER,
) -> Path:
    """Run the steps that are not done yet in folder ``job``. Returns the path of the finished picture.

    ``request`` is the content of the folder's request.json, if the caller has read it already. ``served``
    are the steps that this call may do. Another call, here or elsewhere, goes on from the folder.

    ``on_event`` is called in the caller's thread:

    - once with ``{"event": "plan", "steps": [...]}``;
    - when a step begins, with ``{"event": "begin", "step", "index"}``;
    - after each denoising step, with ``{"event": "progress", "step", "index", "done", "of"}``;
    - when a step ends, with ``{"event": "step", "step", "index", "pid", "import_seconds", ...}``;
    - before a picture is painted again, with ``{"event": "again", "number", "first", "reason"}``;
    - at least every 0.3 s while a step runs, with ``{"event": "waiting"}``.

    If ``on_event`` raises an exception, the step's process is ended, and then the exception leaves this call.
    Raises InvalidRequest if the folder's files can't be used, StepFailed if a step fails, PictureRefused if
    the safety check refuses the finished picture, NotServed before a step that isn't ``served``.
    """
    tell = on_event or (lambda event: None)
    request = request or GenerationRequest.load(job)
    profile, plan = get_profile(request.profile), planned(with_lora=bool(request.lora))
    canvas = job_folder.read_canvas(job, request, profile)
    if job_folder.newest_index(job) is None:
        job_folder.write_picture(canvas.background, job_folder.picture_path(job, 0), new_record(request))
    tell({"event": "plan", "steps": plan})
    is_painted = run_steps(plan, job, request, profile, tell, served)
    while is_painted and request.lora and (first := repaint.due(job, request, profile)):
        why = repaint.reason(job_folder.read_likeness(job))
        request = repaint.begin(job, request, first)
        tell({"event": "again", "number": repaint.number(job, request), "first": first, "reason": why})
        is_painted = run_steps(plan, job, request, profile, tell, served)
    if request.lora:
        repaint.keep_best(job)
    return job / job_folder.UNMARKED


def run_steps(
    plan: list[str],
    job: Path,
    request: GenerationRequest,
    profile: ModelProfile,
    tell: Callable[[dict], None],
    served: Collection[str],
) -> bool:
    """The steps that are still to do. Raises NotServed before the first that isn't ``served``.

    False if the safety check refused the picture, but not one that was painted before.
    """
    for index in range(job_folder.newest_index(job) + 1, len(plan) + 1):
        if plan[index - 1] not in served:
            raise NotServed(plan[index - 1])
        tell({"event": "begin", "step": plan[index - 1], "index": index})
        try:
            run_step(plan[index - 1], index, job, profile, tell)
        except safety.PictureRefused:
            if not repaint.number(job, request):
                raise
            return False
    return True


def run_step(name: str, index: int, job: Path, profile: ModelProfile, tell: Callable[[dict], None]) -> None:
    """Run one step in a process of its own. The process has ended when this call returns or raises.

    Raises StepFailed or PictureRefused.
    """

    def on_line(line: str) -> None:
        message = json.loads(line)
        tell({"event": "progress" if "done" in message else "step", **message})

    def on_wait() -> None:
        tell({"event": "waiting"})

    with tempfile.TemporaryFile("w+", dir=job) as stderr:
        status = isolation.chosen().run(profile, name, job, stderr, on_line, on_wait)
        stderr.seek(0)
        logged = [line for line in stderr.read().splitlines() if line.strip()]
    for line in logged:
        log.debug("%s: %s", name, line)
    if status == safety.REFUSED:
        raise safety.PictureRefused(safety.TEXT)
    if status != 0 or not job_folder.picture_path(job, index).exists():
        ended = (
            f"its process was ended by signal {-status}" if status < 0 else f"its process ended with {status}"
        )
        raise StepFailed(name, logged[-1] if logged and status > 0 else ended, killed=status < 0)


def _print_progress(event: dict) -> None:
    if event["event"] == "progress":
        print(
            f"\r{event['index']} {event['step']}: {event['done']} of {event['of']}   ",
            end="",
            file=sys.stderr,
        )
    elif event["event"] == "step":
        took = sum(event[part] for part in ("import_seconds", "load_seconds", "inference_seconds"))
        print(
            f"\r{event['index']} {event['step']}: {took:.1f} s, {event['peak_rss_mb']:.0f} MB",
            file=sys.stderr,
        )


def run_command(generate_in: Callable[[Path, Callable[[dict], None]], Path]) -> None:
    """The command line of this generator and of ``generator_classic``."""
    parser = argparse.ArgumentParser(description="Make the picture that a request file asks for.")
    parser.add_argument(
        "request", type=Path, metavar="REQUEST.json", help="names the pictures that lie beside it"
    )
    parser.add_argument("--output", type=Path, help="where the picture goes (default: beside the request)")
    parser.add_argument(
        "--tmp-data", type=Path, default=ROOT / "tmp_data", help="where the working folder is made"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    output = args.output or args.request.with_suffix(".png")
    args.tmp_data.mkdir(parents=True, exist_ok=True)
    job = Path(tempfile.mkdtemp(dir=args.tmp_data, prefix="request-"))
    try:
        job_folder.lay_out(args.request, job)
        shutil.copyfile(generate_in(job, _print_progress), output)
    except (InvalidRequest, StepFailed, safety.PictureRefused, ValueError) as error:
        sys.exit(str(error))
    finally:
        shutil.rmtree(job, ignore_errors=True)
    print(output)


if __name__ == "__main__":
    run_command(generate)
