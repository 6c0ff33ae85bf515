"""Which marks a picture carries; never whose it is. Looked at like a visitor's photo, and kept nowhere."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.utils.translation import gettext_lazy as _

from diffuser_api.marking import keys
from diffuser_api.models import Job
from diffuser_api.photos import gate
from diffuser_api.photos.sentences import sentence
from generation.marking import credentials, verify_process, watermark
from generation.vision.gate_process import SECONDS_EACH

SECONDS = 30
COSTS = 1.0  # of the sender's seconds, at least
SENTENCES = {
    "ours": _("This picture was made by this service, and it is unchanged."),
    "other": _("This picture carries the Content Credentials of another signer, and it is unchanged."),
    "changed": _("This picture carries Content Credentials, but it was changed after it was signed."),
    "watermark": _(
        "This picture carries the watermark of this service: it was made here. Its metadata is gone, and it "
        "may have been changed."
    ),
    "marked": _(
        "This picture carries no Content Credentials. Its metadata says that it was made with a trained "
        "model; anybody could have written that."
    ),
    "nothing": _(
        "This picture carries no mark that we know. That proves nothing: a screenshot and many apps take "
        "marks away."
    ),
}


class NotVerified(Exception):
    """The text says why, and what to do. ``seconds``: of the processor that the look has taken."""

    def __init__(self, text: str, seconds: float = 0.0):
        super().__init__(text)
        self.seconds = seconds


@dataclass(frozen=True)
class Verified:
    """``told``: for everybody. ``result``, one of SENTENCES, with its sentence; ``watermark``: whether ours
    was read; ``signer``, ``made_at`` and ``made_by`` as the credentials say, or our row.

    ``code``: of the job that the watermark names, for staff alone.
    """

    told: dict
    code: str = ""


def verify(file: File, sender: str) -> Verified:
    """Raises NotVerified and throttles.TooMuchWork."""
    limit = settings.MAX_UPLOAD_MB
    if file.size == 0 or file.size > limit * 2**20:
        raise NotVerified(sentence("too_large", limit=limit) if file.size else sentence("empty"))
    gate.refuse_too_much_work(sender)
    marks = dict(Job.objects.exclude(mark="").values_list("mark", "pk"))
    try:
        told = _look_at(file, "pixels" if marks else "metadata")
    except NotVerified as refused:
        gate.charge(sender, max(COSTS, refused.seconds))
        raise
    gate.charge(sender, max(COSTS, told["seconds"]))
    job = _marked(told["leanings"], marks)
    result = _result(told, job)
    signed = result in ("ours", "other")  # of a changed picture, nothing that it says is sure
    said = {name: told[name] if signed else "" for name in ("signer", "made_at", "made_by")}
    if job and job.finished_at and not signed:
        said["made_at"] = job.finished_at.isoformat(timespec="seconds")
    answer = {"result": result, "message": str(SENTENCES[result]), "watermark": job is not None, **said}
    return Verified(answer, job.code if job else "")


def _marked(leanings: list[list[float]], marks: dict[str, int]) -> Job | None:
    """The job whose reference is in the pixels. ``marks``: the reference and the row of each."""
    place = watermark.find(leanings, [int(mark, 16) for mark in marks])
    return None if place is None else Job.objects.filter(pk=list(marks.values())[place]).first()


def _look_at(file: File, depth: str) -> dict:
    with tempfile.TemporaryDirectory(prefix=gate.FOLDER_PREFIX, dir=settings.TMP_DATA_DIR) as name:
        picture, certificates = Path(name) / "picture", []
        with picture.open("wb") as target:
            target.writelines(file.chunks())
        for number, chain in enumerate(keys.own_chains()):
            certificates.append(Path(name) / f"{number}.pem")
            certificates[-1].write_bytes(chain)
        try:
            done = gate.run_module(
                "generation.marking.verify_process",
                picture,
                settings.MAX_PIXELS_MP,
                depth,
                *certificates,
                seconds=SECONDS,
            )
        except subprocess.TimeoutExpired as late:
            raise NotVerified(sentence("too_heavy"), SECONDS_EACH) from late
    if done.returncode == verify_process.NO_PICTURE:
        raise NotVerified(str(_("The file is no JPEG, PNG or WebP picture.")))
    if done.returncode < 0:
        raise NotVerified(sentence("too_heavy"), SECONDS_EACH)
    if done.returncode:
        raise RuntimeError(f"the look at a picture failed: {done.stderr.decode(errors='replace')[-2000:]}")
    return json.loads(done.stdout)


def _result(told: dict, job: Job | None) -> str:
    if told["state"] == credentials.ABSENT:
        if job:
            return "watermark"
        return "marked" if told["source_type"] else "nothing"
    if told["state"] == credentials.INVALID:
        return "changed"
    return "ours" if told["ours"] else "other"
