"""Pictures from strangers: decoded fully, made plain RGB with no metadata, or refused with a reason."""

from __future__ import annotations

import io
import warnings

import imagehash
import pillow_heif
from django.conf import settings
from PIL import Image, ImageCms, ImageOps

pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
MIN_SIDE = 256  # pixels
KEPT_SIDE = 2048  # pixels: a training looks at no more than that
SAME_PICTURE = 4  # bits of 64 in which the perceptual hashes of one picture's copies may differ
Image.MAX_IMAGE_PIXELS = None  # our own limit is checked before anything is decoded


class PhotoRefused(Exception):
    """``code`` for programs, ``message`` for the person who sent the photo."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code, self.message = code, message


def clean_photo(file) -> tuple[bytes, imagehash.ImageHash]:
    """A JPEG in sRGB, upright, without metadata, and its perceptual hash. Raises PhotoRefused."""
    picture = _to_srgb(_decode(_open(file)))
    picture.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    clean = io.BytesIO()
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(clean, "JPEG", quality=95, subsampling=0)
    return clean.getvalue(), imagehash.phash(picture)


def _open(file) -> Image.Image:
    """The picture with its header read and judged, nothing decoded yet."""
    if file.size == 0:
        raise PhotoRefused("empty", "The file is empty; choose the photo again.")
    if file.size > settings.MAX_UPLOAD_MB * 2**20:
        raise PhotoRefused(
            "too_large", f"The file is larger than {settings.MAX_UPLOAD_MB} MB; send a smaller one."
        )
    try:
        with warnings.catch_warnings(action="ignore"):
            picture = Image.open(file, formats=FORMATS)
    except Exception as error:  # decoders of hostile files raise whatever they like
        raise PhotoRefused(
            "not_a_picture", "The file is no JPEG, PNG, WebP or HEIC picture; send the photo in one of these."
        ) from error
    if picture.width * picture.height > settings.MAX_PIXELS_MP * 1_000_000:
        raise PhotoRefused(
            "too_many_pixels",
            f"The photo has more than {settings.MAX_PIXELS_MP} megapixels; send it smaller.",
        )
    if min(picture.size) < MIN_SIDE:
        raise PhotoRefused(
            "too_small",
            f"The photo is {picture.width} x {picture.height} pixels; at least {MIN_SIDE} on each side.",
        )
    if picture.format in ("PNG", "WEBP") and getattr(picture, "is_animated", False):
        raise PhotoRefused("animated", "The picture is animated; send a still photo.")
    return picture


def _decode(picture: Image.Image) -> Image.Image:
    try:
        with warnings.catch_warnings(action="ignore"):
            picture.load()
            return ImageOps.exif_transpose(picture)
    except Exception as error:
        raise PhotoRefused(
            "broken", "The picture is damaged or cut off; send the original file again."
        ) from error


def _to_srgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB; 16-bit grey is scaled, a colour profile applied, transparency laid over white."""
    if picture.mode.startswith("I"):
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    elif profile := picture.info.get("icc_profile"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = "RGBA" if picture.mode in ("RGBA", "LA", "PA") else "RGB"
            picture = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode=mode
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile: the plain colours are the best guess
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def clean_photos(files: list) -> list[bytes]:
    """Exactly five photos, no two the same. Raises PhotosRefused with every reason at once."""
    if len(files) != 5:
        raise PhotosRefused(
            [
                {
                    "index": 0,
                    "code": "wrong_count",
                    "message": f"Send exactly five photos; {len(files)} arrived.",
                }
            ]
        )
    cleaned, hashes, refusals = [], {}, []
    for index, file in enumerate(files, start=1):
        try:
            photo, fingerprint = clean_photo(file)
        except PhotoRefused as refused:
            refusals.append({"index": index, "code": refused.code, "message": refused.message})
            continue
        twin = next((i for i, other in hashes.items() if other - fingerprint <= SAME_PICTURE), None)
        if twin:
            message = f"This is the same picture as photo {twin}; send five different ones."
            refusals.append({"index": index, "code": "duplicate", "message": message})
        hashes[index] = fingerprint
        cleaned.append(photo)
    if refusals:
        raise PhotosRefused(refusals)
    return cleaned


class PhotosRefused(Exception):
    """``reasons``: {"index": 1..5, "code", "message"} for each refused photo; index 0 speaks of all."""

    def __init__(self, reasons: list[dict]):
        super().__init__(f"{len(reasons)} reasons")
        self.reasons = reasons
