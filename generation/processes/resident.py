"""A process that does many steps of one model: ``python -m generation.processes.resident PROFILE STEP...``.

``isolation`` starts this process. Its models stay on their device. The process grows, because libraries keep
memory. So it ends after ``STEPS_AT_MOST`` steps, or when it has grown by ``GROWTH_MB``, and the next request
starts a new one. A visitor's LoRA is removed after the step. The process ends when its parent ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from generation.models.profiles import ModelProfile, get_profile
from generation.processes import step_process, step_server

STEPS_AT_MOST = 200
GROWTH_MB = 500.0  # beyond the memory that it had after its first step


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def serve(control, profile: ModelProfile, names: list[str]) -> None:
    """Do steps until the client closes the socket, or until this process has to be replaced."""
    from generation.models import pipelines  # imports torch

    cache = pipelines.PipelineCache()
    try:
        for name in names:
            cache.pipeline(name, profile)
    except Exception as error:  # the step that needs it reports the failure
        print(f"the models of {name} could not be loaded: {error}", file=sys.stderr)
    after_first = None
    for _ in range(STEPS_AT_MOST):
        request = step_server.receive(control)
        if request is None:
            return
        request.begins(os.getpid())
        log = os.dup(2)
        request.take_over_streams()
        status = step_process.attempt(request.step, request.job, request.requested_at, cache)
        if status == 0:
            pipelines.remove_lora(cache.pipeline(request.step, profile))
        sys.stderr.flush()
        os.dup2(log, 1)  # the reader of the step's stdout gets its end
        os.dup2(log, 2)
        os.close(log)
        request.ended(status)
        if status != 0:
            return  # its models may be in any state
        after_first = after_first or memory_mb()
        if memory_mb() > after_first + GROWTH_MB:
            return


def main() -> None:
    control = step_server.begin_serving()
    serve(control, get_profile(sys.argv[1]), sys.argv[2:])
    os._exit(0)


if __name__ == "__main__":
    main()
