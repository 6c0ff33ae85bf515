"""Clients of the API with their tokens, and what belongs to them."""

from __future__ import annotations

from pathlib import Path

from django.core.files.base import ContentFile

from benchmarks.harness.loras import small_lora
from diffuser_api.access import tokens
from diffuser_api.jobs import orders, status_changes
from diffuser_api.jobs.orders import GenerationOrder, TrainingOrder
from diffuser_api.models import ActionImage, Client, Job, LoraModel, PoiImage
from diffuser_api.photos import consent, gate

CONSENT = {"consent_version": consent.VERSION, "consent_person": "yes"}  # what the studio's form sends


def make_client(name: str) -> tuple[Client, dict[str, str]]:
    """A client, and the header that speaks for it."""
    client = Client.objects.create(name=name)
    return client, {"Authorization": f"Bearer {tokens.issue_token(client)}"}


def make_job(client: Client | None = None, visitor: str = "", lora: LoraModel | None = None) -> Job:
    return orders.create_job(make_order(client=client, visitor=visitor, lora=lora))


def make_order(**changes) -> GenerationOrder:
    """Of the first place and action that there are."""
    person = {"age": "adult", "gender": "man", "seed": 1}
    rows = {"poi_image": PoiImage.objects.first(), "action_image": ActionImage.objects.first()}
    return GenerationOrder(**rows | person | changes)


def make_training(photos: list[bytes], client: Client | None = None, visitor: str = "") -> Job:
    """Of photos that nobody has looked at."""
    cleaned = [gate.Seen(clean=photo) for photo in photos]
    return orders.create_job(TrainingOrder(photos=cleaned, client=client, visitor=visitor))


def make_picture(tmp_path: Path, client: Client | None = None, visitor: str = "") -> Job:
    """A finished job, whose picture is the bytes ``picture``."""
    job = status_changes.claim(make_job(client, visitor).code)
    (tmp_path / "picture.png").write_bytes(b"picture")
    assert status_changes.finish_generation(job, tmp_path / "picture.png")
    return Job.objects.get(pk=job.pk)


def make_lora(code: str, client: Client | None = None, visitor: str = "") -> LoraModel:
    file = ContentFile(small_lora(), name=f"{code}.safetensors")
    return LoraModel.objects.create(code=code, client=client, visitor=visitor, file=file)
