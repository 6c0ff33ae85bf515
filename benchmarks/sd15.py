"""The whole road at Stable Diffusion 1.5's size, with random weights and no GPU: ``make bench-sd15``.

A request by HTTP, a worker, all five steps with a LoRA, few denoising steps; then what each step took. With
``--limit-gb`` the whole tree, this program too, runs in a cgroup that is not given more memory. What of the
models is mapped from their files counts there as well, but the kernel can take it back.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import requests

from benchmarks.harness.running_service import RunningService, running

FAMILY = Path(tempfile.gettempdir()) / "cartolina-sd15-shaped"  # unless told where
CODE = "12345678"
ADD_LORA = f"""
from pathlib import Path
from django.core.files.base import ContentFile
from diffuser_api.models import LoraModel
LoraModel.objects.create(code="{CODE}", file=ContentFile(Path("{{}}").read_bytes(), "{CODE}.safetensors"))
"""
CGROUPS = (  # where one is made, the files of its limit and its peak, how /proc/self/cgroup names its kind
    ("/sys/fs/cgroup", "memory.max", "memory.peak", "0::"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes", ":memory:"),
)


def prepare(family: Path, lora: Path) -> dict[str, str]:
    """In a process of its own, which takes torch with it when it ends; the variables that name the family."""
    from benchmarks import sd15_shaped
    from benchmarks.harness.small_models import make_lora

    variables = sd15_shaped.write_family(family)
    make_lora(family / "inpaint" / "unet", lora, rank=32)
    return variables


@contextlib.contextmanager
def limited(gigabytes: float | None) -> Iterator[Path | None]:
    """This process and all that it starts in a cgroup of its own; the file of their peak. SystemExit where
    no cgroup can be made."""
    if gigabytes is None:
        yield None
        return
    for root, limit, peak, kind in CGROUPS:
        group = Path(root) / f"cartolina-{os.getpid()}"
        if not (Path(root) / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
            (group / limit).write_text(str(int(gigabytes * 1e9)))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        before = next(line.split(":")[2] for line in lines if kind in line)
        (group / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield group / peak
        finally:
            (Path(root) / before.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))
            with contextlib.suppress(OSError):
                group.rmdir()
        return
    raise SystemExit("no cgroup can be made here: run as root, or without --limit-gb")


class Watch:
    """The most memory that the tree has been seen to take, of what is no file's, by role (PSS, MB)."""

    def __init__(self, service: RunningService):
        self.service, self.most = service, dict.fromkeys(("tree", "template", "step"), 0.0)

    def look(self) -> None:
        now = dict.fromkeys(self.most, 0.0)
        for role, process in self.service.tree():
            with contextlib.suppress(OSError, psutil.Error):
                own = anonymous_mb(process.pid)
                now["tree"] += own
                now[role] = now.get(role, 0.0) + own
        self.most = {role: max(most, now[role]) for role, most in self.most.items()}


def anonymous_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) / 1024


def paint(service: RunningService, watch: Watch) -> dict:
    """The finished job, as the API shows it."""
    answer = service.ask("one picture", lora=CODE)
    answer.raise_for_status()
    url = answer.json()["status_url"]
    while (job := requests.get(url, timeout=30).json())["status"] in ("queued", "running"):
        watch.look()
        time.sleep(0.5)
    return job


def table(job: dict) -> str:
    lines = [f"{'step':<12}{'import':>9}{'load':>9}{'paint':>9}{'peak RSS':>12}{'written':>11}"]
    for timing in job["timings"]:
        seconds = "".join(f"{timing[f'{name}_seconds']:>8.1f}s" for name in ("import", "load", "inference"))
        lines.append(
            f"{timing['step']:<12}{seconds}{timing['peak_rss_mb']:>9.0f} MB{timing['written_mb']:>8.1f} MB"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", type=Path, default=FAMILY, help="where the weights are, or will be")
    parser.add_argument("--denoising-steps", type=int, default=2)
    parser.add_argument("--limit-gb", type=float, help="of memory, for all processes together")
    parser.add_argument("--template-mb", type=int, default=4500, help="TEMPLATE_MEMORY_MB")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cartolina-sd15-") as folder:
        lora = Path(folder) / "lora.safetensors"
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as once:
            settings = once.submit(prepare, args.family, lora).result()
        settings["DENOISING_STEPS"] = str(args.denoising_steps)
        settings["TEMPLATE_MEMORY_MB"] = str(args.template_mb)
        with limited(args.limit_gb) as peak, running(Path(folder), small=False, **settings) as service:
            service.manage("shell", "-c", ADD_LORA.format(lora))
            began, watch = time.monotonic(), Watch(service)
            job = paint(service, watch)
            seconds = time.monotonic() - began
            group = (
                f", of the cgroup {int(peak.read_text()) / 1e9:.2f} of {args.limit_gb:g} GB" if peak else ""
            )
            print(table(job) if job["timings"] else "")
            print(f"{job['status']} in {seconds:.0f} s {job.get('error') or ''}")
            most = ", ".join(f"{role} {mb / 1000:.2f}" for role, mb in watch.most.items())
            print(f"peak of what no file backs, GB: {most}{group}")
            if job["status"] != "succeeded":
                print((Path(folder) / "worker.log").read_text()[-3000:])
                raise SystemExit(1)


if __name__ == "__main__":
    main()
