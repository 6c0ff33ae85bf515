"""The machine loses power again and again while jobs come in: is each row's file there, each file's row?

``python -m benchmarks.power_cuts --rounds 100 --seed 1``. Everything is killed at once, the database's
writers included, and what the code has not synced to the disk is cut short at a random length. Then all
starts again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time

import psutil

from benchmarks.kills import Trial, main

# In working folders. The request's pictures and LoRA, and checkpoints, are synced before what names them.
UNSYNCED = ("[0-5]-*.png", "*.tmp", "*.json", "*.jpg", "*.txt", "*.part", "training.log")
RECENT_SECONDS = 30.0  # what was written longer ago has reached the disk


class PowerTrial(Trial):
    pause_seconds = (4.0, 15.0)

    def strike(self) -> None:
        processes = [process for _, process in self.service.tree()]
        for stroke in ("suspend", "kill"):  # so that none sees another one die
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(process, stroke)()
        psutil.wait_procs(processes, timeout=10)
        self.struck["power cuts"] += 1
        self.cut_files_short()
        self.look_at_the_disk()
        self.longest_silence = 0.0  # nothing beats while the power is off

    def cut_files_short(self) -> None:
        for place in ("tmp_data", "training-app"):
            for pattern in UNSYNCED:
                for path in (self.service.folder / place).rglob(pattern):
                    if time.time() - path.stat().st_mtime < RECENT_SECONDS and self.random.random() < 0.5:
                        with path.open("r+b") as file:
                            file.truncate(self.random.randint(0, path.stat().st_size))
                        self.struck["files cut short"] += 1

    def look_at_the_disk(self) -> None:
        """Before anything is started again."""
        from django.core.files.storage import default_storage

        from diffuser_api.models import Job, LoraModel, TrainingPhoto

        with contextlib.closing(sqlite3.connect(self.service.folder / "data" / "db.sqlite3")) as database:
            state = database.execute("PRAGMA integrity_check").fetchone()[0]
        self.faults += [] if state == "ok" else [f"the database: {state}"]
        named = [name for name in Job.objects.values_list("output", flat=True) if name]
        for model in (LoraModel, TrainingPhoto):
            named += model.objects.values_list("file", flat=True)
        self.faults += [f"{name} has a row and no file" for name in named if not default_storage.exists(name)]
        lost = set(self.accepted) - set(Job.objects.values_list("code", flat=True))
        self.faults += [f"{code} was accepted and is lost" for code in lost]


if __name__ == "__main__":
    main(PowerTrial)
