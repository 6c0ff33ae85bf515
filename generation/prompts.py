"""The words: from subject and place to a prompt that fits CLIP's 77 tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from generation.request import GenerationRequest

log = logging.getLogger(__name__)
CLIP_TOKENS = 77  # start and end token included; what is beyond is cut off by the text encoder


@dataclass(frozen=True)
class PromptStyle:
    """The words a model family wants around the subject. ``token`` names the visitor in a LoRA's captions."""

    prefix: str
    quality: str
    negative: str
    token: str
    class_word: str


def token_counter(tokenizer: Callable) -> Callable[[str], int]:
    """Counts a text's tokens as transformers' ``tokenizer`` makes them, start and end included."""
    return lambda text: len(tokenizer(text, truncation=False, verbose=False).input_ids)


def subject(age: str, gender: str) -> str:
    return f"{age} {gender}"


def _fitted(parts: list[tuple[int, str]], count_tokens: Callable[[str], int]) -> str:
    """The parts joined by commas; the least important (highest number) are left out until they fit.

    A single part that is too long by itself loses its last words.
    """
    kept = [(rank, text) for rank, text in parts if text]
    while count_tokens(_join(kept)) > CLIP_TOKENS:
        rank, text = max(kept, key=lambda part: part[0])
        if len(kept) > 1:
            log.warning("prompt over %d tokens: a part of %d characters is left out", CLIP_TOKENS, len(text))
            kept.remove((rank, text))
        else:
            words = text.split()
            log.warning("prompt over %d tokens: its last word is left out", CLIP_TOKENS)
            shorter = " ".join(words[:-1]) if len(words) > 1 else text[: len(text) // 2]
            kept = [(rank, shorter)]
    return _join(kept)


def _join(parts: list[tuple[int, str]]) -> str:
    return ", ".join(text for _, text in parts)


def scene_prompt(request: GenerationRequest, style: PromptStyle, count_tokens: Callable[[str], int]) -> str:
    """What the pose, detail and harmonize steps paint: who, doing what, wearing what, where."""
    return _fitted(
        [
            (5, style.prefix),
            (0, subject(request.age, request.gender)),
            (3, f"{request.skin_tone} skin" if request.skin_tone else ""),
            (1, request.action_description),
            (2, f"wearing {request.other_details}" if request.other_details else ""),
            (4, request.place_description),
            (6, style.quality),
        ],
        count_tokens,
    )


def face_prompt(request: GenerationRequest, style: PromptStyle, count_tokens: Callable[[str], int]) -> str:
    """What the face step paints: the visitor by the name that the LoRA learned."""
    return _fitted(
        [
            (4, style.prefix),
            (0, f"face of {style.token} {style.class_word}"),
            (1, subject(request.age, request.gender)),
            (2, f"{request.skin_tone} skin" if request.skin_tone else ""),
            (3, f"wearing {request.other_details}" if request.other_details else ""),
            (5, style.quality),
        ],
        count_tokens,
    )
