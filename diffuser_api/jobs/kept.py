"""A list of all stored data about one face, in words, for a person who asks for it (GDPR, Article 15)."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q

from diffuser_api.jobs import deletion, folders, working_files
from diffuser_api.models import IdempotencyKey, Job, LoraModel, Report, TrainingPhoto, Webhook


def of(code: str) -> list[str]:
    """A line for each stored thing. The list is empty if nothing has this code."""
    lora = LoraModel.with_erased.filter(code=code).first()
    training = Job.objects.filter(code=code, kind=Job.Kind.TRAINING).first()
    pictures = Job.objects.filter(kind=Job.Kind.GENERATION).filter(Q(code=code) | Q(lora__code=code))
    lines = [*(_training(training) if training else ()), *(_lora(lora) if lora else ())]
    for picture in pictures.select_related("poi_image__poi", "lora"):
        lines += _picture(picture)
    jobs = [*pictures, *([training] if training else [])]
    for job in jobs:
        lines += _around(job)
    return lines


def _training(job: Job) -> Iterator[str]:
    yield f"training {job.code}: {job.status}, asked for {job.created_at:%Y-%m-%d %H:%M} UTC{_owner(job)}"
    consent = job.parameters.get("consent")
    yield f"  consent: {', '.join(consent.values()) if consent else 'not recorded by this service'}"
    for photo in TrainingPhoto.objects.filter(job=job):
        numbers = len(photo.face or ()) + len(photo.skin or ())
        yield f"  photo {photo.index}: {photo.file.name}, and {numbers} numbers that describe it"
        yield from _looks(photo.looks)
    if job.log:
        yield f"  log of the training: {len(job.log)} characters"


def _lora(lora: LoraModel) -> Iterator[str]:
    until = deletion.lora_kept_until(lora)
    yield f"LoRA {lora.code}: {lora.file.name}, kept until {_day(until)}{_owner(lora)}"
    numbers = sum(map(len, lora.faces))
    yield f"  numbers that describe the face: {numbers}; skin tone: {lora.skin_tone or 'none'}"
    yield f"  numbers of the skin's colour: {len(lora.skin)}"
    yield from _looks(lora.looks)


def _looks(looks: dict[str, str] | None) -> Iterator[str]:
    if looks:
        yield "  looks: " + ", ".join(f"{name} {value}" for name, value in looks.items())


def _picture(job: Job) -> Iterator[str]:
    place = job.poi_image.poi.name if job.poi_image else "a place that is gone"
    until = _day(deletion.picture_kept_until(job))
    asked = f"{job.created_at:%Y-%m-%d}"
    yield f"picture {job.code}: {job.status}, {place}, {asked}, kept until {until}{_owner(job)}"
    yield f"  words: {job.parameters.get('other_details') or 'none'}; file: {job.output.name or 'none'}"
    if job.mark:
        yield "  the reference in the picture's watermark"
    if job.body:
        yield f"  the picture before the face was painted: {job.body.name}"
    if job.shared_small:
        yield f"  a small copy of the shared picture: {job.shared_small.name}"


def _around(job: Job) -> Iterator[str]:
    for folder in folders.all_of(job.code):
        if folder.exists():
            yield f"working folder of {job.code}: {folder}"
    if copies := working_files.stored(job.code):
        yield f"copies of working files of {job.code} in the storage: {len(copies)}"
    if count := Webhook.objects.filter(job=job).count():
        yield f"webhooks about {job.code}: {count}"
    for report in Report.objects.filter(job=job):
        yield f"report about {job.code}: {report.reason}; words: {report.words or 'none'}"
    if count := IdempotencyKey.objects.filter(job=job).count():
        yield f"keys of requests for {job.code}: {count}"


def _owner(row: Job | LoraModel) -> str:
    client = f"; client {row.client}" if row.client else ""
    return client + (f"; visitor {row.visitor}" if row.visitor else "")


def _day(until) -> str:
    return f"{until:%Y-%m-%d}" if until else "somebody deletes it"
