"""The template of the steps' processes: ``python -m generation.processes.fork_server PROFILE STEP...``.

Started by ``isolation``. It imports the libraries and loads models, nothing else. For each requested step it
forks a child, which shares its memory until it writes to it. A process can be forked only while it has a
single thread and hasn't touched CUDA. So everything that computes is left to the children, the choice of the
hardware too. A visitor's LoRA is never loaded here. It ends when its parent ends, and its child ends with it.
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

# Read by the libraries when they are imported: no threads of their own.
_NO_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_DEACTIVATE_ASYNC_LOAD": "1",
}
_NO_CUDA = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}  # "is there a GPU?" is answered without touching it
log = logging.getLogger(__name__)


def memory_budget_mb() -> float:
    """TEMPLATE_MEMORY_MB, else half of the memory of this machine or container."""
    if os.environ.get("TEMPLATE_MEMORY_MB"):
        return float(os.environ["TEMPLATE_MEMORY_MB"])
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    return memory / 2**20 / 2


def serve(control: socket.socket, cache: PipelineCache, profile: ModelProfile, ahead: list[str]) -> None:
    """Answer requests until the client has gone; between them, load what the steps ``ahead`` need."""
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
    gc.freeze()  # a child's garbage collection needn't write to, and so copy, what is here


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
    """The whole life of a child; nothing that is the template's is closed or called at its end."""
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
    """Imports the libraries so that this process stays one that can be forked."""
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
    # The last is loaded first: under a small budget, what the first step needs is what stays.
    serve(control, prepared_cache(profile), profile, ahead=sys.argv[2:])
    os._exit(0)  # an interpreter that is full of libraries takes its time to end


if __name__ == "__main__":
    main()
