"""Which marks a picture carries; never whose it is. Looked at like a visitor's photo, and kept nowhere."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.utils.translation import gettext_lazy as _

from diffuser_api.marking import keys
from diffuser_api.photos import gate
from diffuser_api.photos.sentences import sentence
from generation.marking import credentials, verify_process

SECONDS = 30
COSTS = 1.0  # of the sender's seconds, as a photo that is looked at
SENTENCES = {
    "ours": _("This picture was made by this service, and it is unchanged."),
    "other": _("This picture carries the Content Credentials of another signer, and it is unchanged."),
    "changed": _("This picture carries Content Credentials, but it was changed after it was signed."),
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
    """The text says why, and what to do."""


def verify(file: File, sender: str) -> dict:
    """``result``, one of SENTENCES, with its sentence; ``signer``, ``made_at`` and ``made_by`` as the
    credentials say. Raises NotVerified and gate.TooMuchWork."""
    limit = settings.MAX_UPLOAD_MB
    if file.size == 0 or file.size > limit * 2**20:
        raise NotVerified(sentence("too_large", limit=limit) if file.size else sentence("empty"))
    gate.refuse_too_much_work(sender)
    told = _look_at(file)
    gate.charge(sender, COSTS)
    result = _result(told)
    signed = result in ("ours", "other")  # of a changed picture, nothing that it says is sure
    said = {name: told[name] if signed else "" for name in ("signer", "made_at", "made_by")}
    return {"result": result, "message": str(SENTENCES[result]), **said}


def _look_at(file: File) -> dict:
    with tempfile.TemporaryDirectory(prefix=gate.FOLDER_PREFIX, dir=settings.TMP_DATA_DIR) as name:
        picture, certificates = Path(name) / "picture", []
        with picture.open("wb") as target:
            target.writelines(file.chunks())
        for number, chain in enumerate(keys.own_chains()):
            certificates.append(Path(name) / f"{number}.pem")
            certificates[-1].write_bytes(chain)
        try:
            done = gate.run_module(
                "generation.marking.verify_process", picture, *certificates, seconds=SECONDS
            )
        except subprocess.TimeoutExpired as late:
            raise NotVerified(sentence("too_heavy")) from late
    if done.returncode == verify_process.NO_PICTURE:
        raise NotVerified(str(_("The file is no JPEG, PNG or WebP picture.")))
    if done.returncode < 0:
        raise NotVerified(sentence("too_heavy"))
    if done.returncode:
        raise RuntimeError(f"the look at a picture failed: {done.stderr.decode(errors='replace')[-2000:]}")
    return json.loads(done.stdout)


def _result(told: dict) -> str:
    if told["state"] == credentials.ABSENT:
        return "marked" if told["source_type"] else "nothing"
    if told["state"] == credentials.INVALID:
        return "changed"
    return "ours" if told["ours"] else "other"
