"""What was seen in a photo, as a sealed text that the visitor's browser keeps beside the photo.

With it, a photo is compared with the others before all five are sent, and the server keeps nothing of a photo
that may never be sent. The seal lets nobody make up such a text, which would be parsed here.
"""

from __future__ import annotations

from django.core import signing

from diffuser_api.photos.gate import Seen

SALT = "studio.prints"
SECONDS = 24 * 3600
LONGEST = 4000  # characters


def sealed(seen: Seen) -> str:
    """Empty for a photo of which nothing can be compared."""
    if seen.fingerprint is None:
        return ""
    return signing.dumps([seen.fingerprint, seen.embedding], salt=SALT, compress=True)


def opened(text: str) -> Seen:
    """With nothing in it if the text isn't ours or is too old."""
    try:
        fingerprint, embedding = signing.loads(text[:LONGEST], salt=SALT, max_age=SECONDS)
    except signing.BadSignature:
        return Seen()
    return Seen(fingerprint=fingerprint, embedding=embedding)
