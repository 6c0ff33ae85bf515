"""Clients of the API with their tokens, and what belongs to them."""

from __future__ import annotations

from pathlib import Path

from django.core.files.base import ContentFile

from diffuser_api.access import tokens
from diffuser_api.jobs import life
from diffuser_api.models import ActionImage, Client, Job, LoraModel, PoiImage


def make_client(name: str) -> tuple[Client, dict[str, str]]:
    """A client, and the header that speaks for it."""
    client = Client.objects.create(name=name)
    return client, {"Authorization": f"Bearer {tokens.issue_token(client)}"}


def make_job(client: Client | None = None, visitor: str = "", lora: LoraModel | None = None) -> Job:
    place, action = PoiImage.objects.first(), ActionImage.objects.first()
    person = {"age": "adult", "gender": "man", "other_details": ""}
    return life.create_generation(place, action, lora, 1, client=client, visitor=visitor, **person)


def make_picture(tmp_path: Path, client: Client | None = None, visitor: str = "") -> Job:
    """A finished job, whose picture is the bytes ``picture``."""
    job = life.claim(make_job(client, visitor).code)
    (tmp_path / "picture.png").write_bytes(b"picture")
    assert life.finish_generation(job, tmp_path / "picture.png")
    return Job.objects.get(pk=job.pk)


def make_lora(code: str, client: Client | None = None, visitor: str = "") -> LoraModel:
    file = ContentFile(b"lora", name=f"{code}.safetensors")
    return LoraModel.objects.create(code=code, client=client, visitor=visitor, file=file)
