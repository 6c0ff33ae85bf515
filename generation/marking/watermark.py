"""An invisible watermark: 64 bits in the pixels, which survive when the metadata is taken away.

The networks are RivaGAN's (Zhang et al. 2019), the two ONNX files of the package invisible-watermark 0.2.0
under the MIT licence. They hide 32 bits. A picture gets two words: one hidden in it as it is, and one in its
mirror image. The networks are not symmetric, so the words hardly disturb each other.

The words are hidden in a small copy of the picture, and the difference is enlarged and added. So the mark is
in coarse detail, which scaling and JPEG leave alone, and it takes the same time for every size.

Some pictures hide a mark worse than others. A strong mark can be seen in even surfaces such as a sky. So each
picture gets the weakest mark that is still read back after a strong JPEG compression.

A reader can't know whether 64 numbers are a mark. So references are drawn at random, and the reader compares
with all of them. ``find`` says how likely the best match is to be chance: references are random, so this
needs no assumption about pictures.
"""

from __future__ import annotations

import io
import math
import secrets
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).with_name("rivagan")
WORD = 32  # bits that the networks hide
BITS = 2 * WORD
AREA = 40_000  # pixels of the small copy
# Sizes of the small copy at which a picture is read, as shares of AREA's side. A picture that was cropped is
# read smaller, one with a border larger. A size that is a tenth off is read nearly as well.
SCALES = (1.0, 1.2, 0.83, 0.69, 0.57)
MIDDLE = 0.52  # of the decoder's numbers: above it a bit is 1
FALSE_ALARM = 1e-4  # at most so often, a picture without a mark is taken for one with a mark
LEAST_SIDE = 64  # of a picture that is marked or read
# Shares of what the networks add. With more than all of it, the tints can be seen at once.
STRENGTHS = (0.5, 0.7, 1.0)
TRIED_QUALITY = 50  # of the JPEG file from which a mark must be read back
SURE = FALSE_ALARM / len(SCALES) / 100_000  # of a match by chance, where 100,000 references are stored


def draw() -> int:
    """A new reference."""
    return secrets.randbits(BITS)


def put(picture: Image.Image, reference: int) -> Image.Image:
    """A copy of the picture with the reference in its pixels. A tiny one stays as it is."""
    picture = picture.convert("RGB")
    if min(picture.size) < LEAST_SIDE:
        return picture
    added, [wanted] = _added(picture, reference), signs([reference])
    for strength in STRENGTHS:
        marked = _laid_over(picture, strength * added)
        if strength == STRENGTHS[-1] or _is_read_back(marked, wanted):
            return marked


def _added(picture: Image.Image, reference: int) -> np.ndarray:
    """What the networks add to the picture, at its size."""
    share = min(1.0, math.sqrt(AREA / (picture.width * picture.height)))
    small = _numbers(_resized(picture, share))
    bits = (signs([reference])[0] > 0).astype(np.float32)
    added = _hide(small, bits[:WORD]) + _hide(small[:, ::-1], bits[WORD:])[:, ::-1]
    bicubic = Image.Resampling.BICUBIC
    large = [Image.fromarray(channel).resize(picture.size, bicubic) for channel in _channels(added)]
    return np.stack(large, -1)


def _laid_over(picture: Image.Image, added: np.ndarray) -> Image.Image:
    marked = (_numbers(picture) + added + 1) * 127.5
    return Image.fromarray(np.clip(np.round(marked), 0, 255).astype(np.uint8))


def _is_read_back(marked: Image.Image, wanted: np.ndarray) -> bool:
    """Whether a strongly compressed copy still shows the reference with these signs beyond chance."""
    compressed = io.BytesIO()
    marked.save(compressed, "JPEG", quality=TRIED_QUALITY)
    with Image.open(compressed) as copy:
        numbers = np.array(next(read(copy)))
    return chance(float(wanted @ numbers), numbers) < SURE


def read(picture: Image.Image) -> Iterator[list[float]]:
    """For each of SCALES, 64 numbers: above 0 for a bit that seems to be 1, and the larger the surer."""
    picture = picture.convert("RGB")
    if min(picture.size) < LEAST_SIDE:
        return
    side = math.sqrt(AREA / (picture.width * picture.height))
    for scale in SCALES:
        small = _numbers(_resized(picture, side * scale))
        yield [*_seen(small), *_seen(small[:, ::-1])]


def find(leanings: Sequence[Sequence[float]], references: Sequence[int]) -> int | None:
    """The place of the reference that a picture carries; None if chance could explain the best match.
    ``leanings``: what ``read`` gives, or the first of it."""
    best = None
    all_signs = signs(references)
    for numbers in np.array(leanings, dtype=float) if len(references) else ():
        agreement = all_signs @ numbers
        place = int(agreement.argmax())
        likelihood = chance(float(agreement[place]), numbers)
        best = min(best or (1.0, 0), (likelihood, place))
    if best is None or best[0] * len(SCALES) * len(references) >= FALSE_ALARM:
        return None
    return best[1]


def chance(agreement: float, numbers: np.ndarray) -> float:
    """At most so likely does a random reference agree so well with these numbers (Chernoff's bound)."""
    factors = np.geomspace(1e-3, 1e2, 200)[:, None] / max(np.abs(numbers).max(), 1e-9)
    spread = np.logaddexp(factors * numbers, -factors * numbers) - math.log(2)  # log cosh
    return float(np.exp(min(0.0, (spread.sum(1) - factors[:, 0] * agreement).min())))


def signs(references: Sequence[int]) -> np.ndarray:
    """A row for each: 1 for a bit that is set, -1 for the others, the lowest first."""
    places = np.arange(BITS, dtype=np.uint64)
    bits = np.array(references, dtype=np.uint64)[:, None] >> places & np.uint64(1)
    return bits * 2.0 - 1.0


def _resized(picture: Image.Image, share: float) -> Image.Image:
    size = tuple(max(16, round(side * share)) for side in picture.size)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def _numbers(picture: Image.Image) -> np.ndarray:
    """(height, width, 3) from -1 to 1."""
    return np.asarray(picture, dtype=np.float32) / 127.5 - 1


def _channels(numbers: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(numbers.transpose(2, 0, 1), dtype=np.float32)


def _frame(numbers: np.ndarray) -> np.ndarray:
    """As the networks take it, which were made for videos."""
    return _channels(numbers)[None, :, None]


def _hide(numbers: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """What is added to the picture."""
    painted = _network("encoder").run(None, {"frame": _frame(numbers), "data": bits[None]})[0]
    return painted[0, :, 0].transpose(1, 2, 0) - numbers


def _seen(numbers: np.ndarray) -> list[float]:
    seen = _network("decoder").run(None, {"frame": _frame(numbers)})[0][0]
    return [round(float(number) - MIDDLE, 3) for number in seen]


@cache
def _network(name: str):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 2
    options.enable_cpu_mem_arena = False  # a worker marks one picture in a minute, and keeps no memory for it
    return onnxruntime.InferenceSession(FOLDER / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
