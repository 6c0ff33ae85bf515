"""The template of the steps' processes: ``python -m generation.processes.fork_server PROFILE STEP...``.

``isolation`` starts this process. It imports the libraries and loads models, nothing else. For each requested
step it forks a child. The child shares the template's memory, and copies only the pages that it writes to.

A process can be forked safely only while it has a single thread and hasn't touched CUDA. So the children do
all computing, and one of them examines the hardware. A visitor's LoRA is never loaded here. The template ends
when its parent ends, and a child ends when the template ends.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import select
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from generation.models.profiles import ModelProfile, get_profile
from generation.processes import lifeline, step_server

if TYPE_CHECKING:
    from generation.models.pipelines import PipelineCache

# The libraries read these variables when they are imported, and then start no threads.
_NO_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_DEACTIVATE_ASYNC_LOAD": "1",
}
_NO_CUDA = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}  # "is there a GPU?" is answered without touching it
log = logging.getLogger(__name__)


def memory_budget_mb() -> float:
    """TEMPLATE_MEMORY_MB; without it, half of the memory of this machine or container."""
    if os.environ.get("TEMPLATE_MEMORY_MB"):
        return float(os.environ["TEMPLATE_MEMORY_MB"])
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    return memory / 2**20 / 2


def serve(control: socket.socket, cache: PipelineCache, profile: ModelProfile, ahead: list[str]) -> None:
    """Answer requests until the client closes the socket. Between requests, load models for the steps
    ``ahead``."""
    while True:
        if ahead and not select.select([control], [], [], 0)[0]:
            _fetch(cache, ahead.pop(), profile)
            continue
        request = step_server.receive(control)
        if request is None:
            return
        _fetch(cache, request.step, profile)
        _fork(request, control, cache)


def _fetch(cache: PipelineCache, name: str, profile: ModelProfile) -> None:
    try:
        cache.fetch(name, profile)
    except Exception as error:  # the child tries again, and reports the failure
        log.warning("the models of %s could not be loaded: %s", name, error)
    gc.collect()
    gc.freeze()  # else a child's garbage collection would write to these objects, and so copy their pages


def _fork(request: step_server.Request, control: socket.socket, cache: PipelineCache) -> None:
    _check_single_thread()
    template, child = os.getpid(), os.fork()
    if child == 0:
        control.close()
        request.answers.close()
        request.take_over_streams()
        from generation.processes import step_process  # already imported, by ``prepared_cache``

        step, job, requested_at = request.step, request.job, request.requested_at
        _exit_with(lambda: step_process.attempt(step, job, requested_at, cache), template)
    request.close_streams()
    request.begins(child)
    request.ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _check_single_thread() -> None:
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:  # a lock that another thread holds would stay locked in the child for ever
        raise RuntimeError(
            f"a library has started {threads - 1} threads; a template can't be forked with them"
        )


def _exit_with(work, template: int) -> None:
    """Run ``work`` and end the child. ``os._exit`` skips the template's own clean-up, which isn't the
    child's."""
    status = 1
    try:
        lifeline.die_with_parent(template)
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _hardware_seen_by_a_child(half_on_gpu: bool):
    from generation.models import hardware

    read, write = os.pipe()
    template, child = os.getpid(), os.fork()

    def look() -> int:
        os.close(read)
        os.write(write, pickle.dumps(hardware.choose(half_on_gpu)))
        return 0

    if child == 0:
        _exit_with(look, template)
    os.close(write)
    with open(read, "rb") as result:
        pickled = result.read()
    os.waitpid(child, 0)
    return pickle.loads(pickled)


def prepared_cache(profile: ModelProfile) -> PipelineCache:
    """Import the libraries in such a way that this process can still be forked. Returns an empty cache."""
    os.environ.update(_NO_THREADS | _NO_CUDA)
    import torch  # this and the next import numpy, cv2 and diffusers, which read the variables above

    from generation.models import hardware, pipelines
    from generation.processes import step_process  # noqa: F401 (so that no child needs to)

    torch.set_num_threads(1)
    _check_single_thread()
    hardware.adopt(_hardware_seen_by_a_child(profile.half_on_gpu), profile.half_on_gpu)
    return pipelines.PipelineCache(memory_budget_mb())


def main() -> None:
    control = step_server.begin_serving()
    profile = get_profile(sys.argv[1])
    # The last step's models are loaded first. So with a small budget, the first step's models stay in memory.
    serve(control, prepared_cache(profile), profile, ahead=sys.argv[2:])
    os._exit(0)  # an interpreter that is full of libraries takes its time to end


if __name__ == "__main__":
    main()
