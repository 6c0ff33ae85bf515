"""A PNG file without the texts that Pillow refuses to read: a large one would make the photo "no picture"."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST = 8 * 2**20  # bytes, unpacked: a printer's colour profile has some; texts of a camera have less
PngImagePlugin.MAX_TEXT_CHUNK = MOST
DROPPED = 64 * 2**10  # bytes of a text that isn't packed


def lean(content: bytes) -> bytes:
    """The same file without large texts and profiles; any other file as it is."""
    if not content.startswith(SIGNATURE):
        return content
    kept = [chunk for name, body, chunk in _chunks(content) if not _is_large(name, body)]
    return SIGNATURE + b"".join(kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, body and the whole of each chunk. What follows a broken one comes as one chunk without a name."""
    place = len(SIGNATURE)
    while place < len(content):
        header = content[place : place + 8]
        end = place + 12 + struct.unpack(">I", header[:4])[0] if len(header) == 8 else len(content) + 1
        if end > len(content):
            yield b"", b"", content[place:]
            return
        yield header[4:], content[place + 8 : end - 4], content[place:end]
        place = end


def _is_large(name: bytes, body: bytes) -> bool:
    if name == b"tEXt":
        return len(body) > DROPPED
    _, _, rest = body.partition(b"\0")  # after the key
    if name in (b"zTXt", b"iCCP"):
        return _unpacks_to_much(rest[1:])
    if name == b"iTXt":
        _, _, text = rest[2:].partition(b"\0")  # after the language
        _, _, text = text.partition(b"\0")  # after the key in that language
        return _unpacks_to_much(text) if rest[:1] == b"\1" else len(text) > DROPPED
    return False


def _unpacks_to_much(packed: bytes) -> bool:
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed, MOST)
    except zlib.error:
        return False  # Pillow leaves it out by itself
    return bool(unpacking.unconsumed_tail)
