"""The prompts of a picture's steps, shortened so that they fit the 77 tokens of CLIP's text encoder."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from generation.request import GenerationRequest

log = logging.getLogger(__name__)
CLIP_TOKENS = 77  # start and end token included; the text encoder drops all further tokens


@dataclass(frozen=True)
class LooksWords:
    """The words by which a model knows a visitor's looks (vision.looks); of what has no word nothing is said.

    ``styles`` are whole phrases, with the hair's colour in them where it is sure.
    """

    hair: Mapping[str, str] = field(default_factory=dict)
    styles: Mapping[str, str] = field(default_factory=dict)
    beard: Mapping[str, str] = field(default_factory=dict)
    glasses: Mapping[str, str] = field(default_factory=dict)

    def phrases(self, looks: Mapping[str, str]) -> str:
        colour = self.hair.get(looks.get("hair", ""), "")
        hair = self.styles.get(looks.get("style", ""), "{colour} hair" if colour else "")
        said = [
            " ".join(hair.format(colour=colour).split()),
            self.beard.get(looks.get("beard", ""), ""),
            self.glasses.get(looks.get("glasses", ""), ""),
        ]
        return ", ".join(phrase for phrase in said if phrase)


@dataclass(frozen=True)
class PromptStyle:
    """The words that a profile adds to every prompt. ``token`` is the visitor's name in a LoRA's captions."""

    prefix: str
    quality: str
    negative: str
    token: str
    class_word: str
    looks: LooksWords = field(default_factory=LooksWords)


def token_counter(tokenizer: Callable) -> Callable[[str], int]:
    """A function that counts a text's tokens with transformers' ``tokenizer``, start and end included."""
    return lambda text: len(tokenizer(text, truncation=False, verbose=False).input_ids)


def subject(age: str, gender: str) -> str:
    return f"{age} {gender}"


Count = Callable[[str], int]  # of a text's tokens, start and end token included


@dataclass(frozen=True)
class Part:
    """A piece of the prompt. If ``before`` is set, that word stands before ``text``.

    ``field`` is the request's field that ``text`` comes from. It is "" if the profile adds the words.
    """

    text: str
    field: str = ""
    before: str = ""

    def __str__(self) -> str:
        return f"{self.before} {self.text}".strip() if self.text else ""


@dataclass(frozen=True)
class Prompt:
    """A prompt that fits. ``left_out``: the words that were cut off, by the request's field."""

    text: str
    left_out: dict[str, str]


# A prompt that is too long is shortened word by word, in this order. Each pair is a part and the number of
# words that it keeps. So a long text about clothes leaves the place whole, and a long text about the place
# leaves the clothes their first eight words.
SCENE_CUTS = (
    *(("quality", 0), ("prefix", 0), ("other_details", 8), ("place_description", 8), ("looks", 0)),
    *(("other_details", 0), ("place_description", 0), ("action_description", 1)),
)
FACE_CUTS = (("quality", 0), ("prefix", 0), ("other_details", 0), ("looks", 0))
# A word with the space before it. Some scripts have no spaces: more than 20 letters without a space are cut
# letter by letter.
WORD = re.compile(r"\s*(?:\S{1,20}(?!\S)|\S)")


def _fitted(parts: dict[str, Part], cuts: tuple[tuple[str, int], ...], count: Count) -> Prompt:
    """The parts joined by commas. If there are too many tokens, words are cut in the order of ``cuts``."""
    whole = ", ".join(str(part) for part in parts.values() if part.text)
    if count(whole) <= CLIP_TOKENS:
        return Prompt(whole, {})
    words = {name: WORD.findall(part.text) for name, part in parts.items()}
    kept = {name: len(found) for name, found in words.items()}

    def shortened() -> str:
        texts = {name: "".join(words[name][: kept[name]]).strip(" ,;") for name in parts}
        return ", ".join(str(replace(part, text=texts[name])) for name, part in parts.items() if texts[name])

    for name, least in cuts:
        while kept[name] > least and count(shortened()) > CLIP_TOKENS:
            kept[name] -= 1
    left_out = {
        part.field: "".join(words[name][kept[name] :]).strip()
        for name, part in parts.items()
        if part.field and kept[name] < len(words[name])
    }
    fields = ", ".join(left_out) or "none"
    log.warning("prompt over %d tokens: words are left out, of the request's fields: %s", CLIP_TOKENS, fields)
    return Prompt(shortened(), left_out)


def scene_prompt(request: GenerationRequest, style: PromptStyle, count: Count, named: bool = False) -> Prompt:
    """The prompt of the pose, detail and harmonize steps: subject, looks, action, clothes and place.

    ``named``: with the name that the visitor's LoRA learned, for steps in which the LoRA works too.
    """
    token = f"photo of {style.token} {style.class_word}" if named and request.lora else ""
    parts = {
        "prefix": Part(style.prefix),
        "token": Part(token),
        "subject": Part(subject(request.age, request.gender)),
        "skin_tone": Part(f"{request.skin_tone} skin" if request.skin_tone else ""),
        "looks": Part(style.looks.phrases(request.looks)),
        "action_description": Part(request.action_description, "action_description"),
        "other_details": _clothes(request),
        "place_description": Part(request.place_description, "place_description"),
        "quality": Part(style.quality),
    }
    return _fitted(parts, SCENE_CUTS, count)


def face_prompt(request: GenerationRequest, style: PromptStyle, count: Count) -> Prompt:
    """The prompt of the face step. It names the visitor by the word that the LoRA was trained with."""
    parts = {
        "prefix": Part(style.prefix),
        "token": Part(f"face of {style.token} {style.class_word}"),
        "subject": Part(subject(request.age, request.gender)),
        "skin_tone": Part(f"{request.skin_tone} skin" if request.skin_tone else ""),
        "looks": Part(style.looks.phrases(request.looks)),
        "other_details": _clothes(request),
        "quality": Part(style.quality),
    }
    return _fitted(parts, FACE_CUTS, count)


def _clothes(request: GenerationRequest) -> Part:
    return Part(request.other_details, "other_details", before="wearing")
