"""Pictures: figures of the catalogue for everybody; of a job, for its owner alone."""

import contextlib
from functools import lru_cache

from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe
from PIL import Image

from diffuser_api.jobs import working_files
from diffuser_api.models import ActionImage, Job
from diffuser_api.photos.pictures import as_jpeg, as_png, derived, open_stored
from generation.models.profiles import get_profile
from generation.picture import canvas
from generation.step_table import ORDER
from studio import figures, visitors

SMALL_SIDE = 480
OWN = {"Cache-Control": "private, no-store"}  # the next visitor may use the same browser


def _picture(file, kind: str = "picture") -> Image.Image:
    """Raises Http404 for a file that is gone or no picture."""
    try:
        return open_stored(file, kind)
    except OSError as error:
        raise Http404 from error


def _jpeg(content: bytes) -> HttpResponse:
    return HttpResponse(content, content_type="image/jpeg", headers=OWN)


@require_safe
def figure(request, pk, cropped=False):
    shot = get_object_or_404(ActionImage, pk=pk)
    content = _figure(shot.pk, shot.skeleton.name, shot.face_mask.name, cropped)
    headers = {"Cache-Control": "public, max-age=3600"}
    return HttpResponse(content, content_type="image/png", headers=headers)


@lru_cache(maxsize=256)
def _figure(pk: int, skeleton: str, face_mask: str, cropped: bool) -> bytes:
    """Keyed by the files' names: a file that is replaced gets another one."""
    shot = get_object_or_404(ActionImage, pk=pk)
    skeleton, face_mask = _picture(shot.skeleton, "skeleton"), _picture(shot.face_mask, "mask")
    return as_png(figures.draw(skeleton, face_mask, cropped))


def _generation(request, code: str) -> Job:
    pictures = request.visitor.jobs().filter(kind=Job.Kind.GENERATION).select_related("poi_image")
    return get_object_or_404(pictures, code=code)


@visitors.welcome
@require_safe
def step(request, code, index):
    """A step's picture while the job runs, and as long as its working files are there."""
    job = _generation(request, code)
    if index > len(ORDER):
        raise Http404
    try:
        return FileResponse(working_files.open_picture(job, index), headers=OWN)
    except OSError as error:
        raise Http404 from error


@visitors.welcome
@require_safe
def preview(request, code):
    """Of the first step while it paints; when that is over meanwhile, its picture."""
    job = _generation(request, code)
    with contextlib.suppress(OSError):
        return FileResponse(working_files.open_preview(job), headers=OWN)
    try:
        return FileResponse(working_files.open_picture(job, 1), headers=OWN)
    except OSError as error:
        raise Http404 from error


@visitors.welcome
@require_safe
def sample(request, code, name):
    job = get_object_or_404(request.visitor.jobs().filter(kind=Job.Kind.TRAINING), code=code)
    try:
        return FileResponse(working_files.open_sample(job, name), headers=OWN)
    except OSError as error:
        raise Http404 from error


def _output(request, code: str):
    job = _generation(request, code)
    if job.status != Job.Status.SUCCEEDED or not job.output:
        raise Http404
    return job.output


@visitors.welcome
@require_safe
def picture(request, code):
    """The finished picture; with ``?download``, as a file to keep."""
    try:
        file = _output(request, code).open("rb")
    except OSError as error:
        raise Http404 from error
    name = f"cartolina-{code}.png"
    return FileResponse(file, as_attachment="download" in request.GET, filename=name, headers=OWN)


@visitors.welcome
@require_safe
def small(request, code):
    output = _output(request, code)
    shown = _picture(output)
    shown.thumbnail((SMALL_SIDE, SMALL_SIDE))
    return _jpeg(derived(shown, output, ["c2pa.resized"]))


@visitors.welcome
@require_safe
def place(request, code):
    """The empty place, of the size of the finished picture, or of the steps' pictures as long as there is
    none."""
    job = _generation(request, code)
    if job.poi_image is None:
        raise Http404
    shown = _picture(job.poi_image.image)
    if job.status == Job.Status.SUCCEEDED and job.output:
        size = _picture(job.output).size
    else:
        size = canvas.canvas_size(*shown.size, get_profile().pixel_budget)
    return _jpeg(as_jpeg(canvas.fitted(shown, size)))
