"""The machine loses power again and again while jobs come in: is each row's file there, each file's row?

``python -m benchmarks.power_cuts --cuts 100 --seed 1``. Everything is killed at once, the database's writers
included, and what the code has not synced to the disk is cut short at a random length. Then all starts again.
"""

from __future__ import annotations

import argparse
import collections
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.kills import Trial, processes_left, set_up
from tests.running_service import RunningService

UNSYNCED = ("*.png", "*.tmp", "*.json", "*.jpg", "*.txt", "*.part", "training.log")  # in working folders
RECENT_SECONDS = 30.0  # what was written longer ago has reached the disk


class PowerTrial(Trial):
    def cut(self) -> None:
        processes = [process for _, process in self.service.tree()]
        for process in processes:
            try:
                process.suspend()
            except psutil.NoSuchProcess:
                continue
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=10)
        self.kills["power"] += 1
        self.cut_files_short()

    def cut_files_short(self) -> None:
        for place in ("tmp_data", "training-app"):
            for pattern in UNSYNCED:
                for path in (self.service.folder / place).rglob(pattern):
                    if time.time() - path.stat().st_mtime < RECENT_SECONDS and self.random.random() < 0.5:
                        with path.open("r+b") as file:
                            file.truncate(self.random.randint(0, path.stat().st_size))
                        self.kills["files cut short"] += 1

    def faults_now(self) -> list[str]:
        """Before anything is started again."""
        from django.core.files.storage import default_storage

        from diffuser_api.models import Job, LoraModel, TrainingPhoto

        with sqlite3.connect(self.service.folder / "data" / "db.sqlite3") as database:
            state = database.execute("PRAGMA integrity_check").fetchone()[0]
        faults = [] if state == "ok" else [f"the database: {state}"]
        named = [name for name in Job.objects.values_list("output", flat=True) if name]
        for model in (LoraModel, TrainingPhoto):
            named += model.objects.values_list("file", flat=True)
        faults += [f"{name} has a row and no file" for name in named if not default_storage.exists(name)]
        lost = set(self.accepted) - set(Job.objects.values_list("code", flat=True))
        return faults + [f"{code} was accepted and is lost" for code in lost]

    def run_cuts(self, cuts: int, shortest: float, longest: float) -> list[str]:
        faults = []
        while self.kills["power"] < cuts:
            for _ in range(2 - len(self.unfinished())):
                self.submit()
            self.pause(self.random.uniform(shortest, longest))
            self.cut()
            faults += self.faults_now()
        end = time.monotonic() + 1200
        while self.unfinished() and time.monotonic() < end:
            self.pause(1.0)
        return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, nargs=2, default=(4.0, 15.0), help="seconds between cuts")
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cartolina-power-") as name:
        service = RunningService(Path(name))
        set_up(service)
        trial = PowerTrial(service, args.seed)
        try:
            faults = trial.run_cuts(args.cuts, *args.pause)
            files = stored(service.folder)
            from diffuser_api import sweep

            trial.pause(3.0)
            sweep.sweep()
            sweep.remove_files(writing_seconds=0)
            removed = files - stored(service.folder)
            trial.longest_silence = 0.0  # nothing beats while the power is off
            faults += trial.faults()
        finally:
            service.stop()
        time.sleep(1)
        faults += [f"still runs: {words}" for words in processes_left(service.folder)]
        from diffuser_api.models import Job

        ended = collections.Counter((job.kind, job.status, job.attempt) for job in Job.objects.all())
    if faults:
        sys.exit("\n".join(faults))
    print(f"{args.cuts} power cuts in {time.monotonic() - started:.0f} s, seed {args.seed}; ", end="")
    print(f"{trial.kills['files cut short']} files cut short, {len(removed)} without a row swept away")
    print("the database was whole each time; no row without its file, no file without its row, no job lost")
    print("kind        status     attempt  jobs")
    for (kind, status, attempt), count in sorted(ended.items()):
        print(f"{kind:11} {status:10} {attempt:7}  {count:4}")


def stored(folder: Path) -> set[Path]:
    return {path for name in ("outputs", "loras", "photos") for path in (folder / "data" / name).glob("*")}


if __name__ == "__main__":
    main()
