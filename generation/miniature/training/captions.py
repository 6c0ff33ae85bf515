"""The words the miniature is trained on, and the tokenizer made from them."""

from __future__ import annotations

import json
import random
from pathlib import Path

from generation.miniature.world import joints, people, places
from generation.miniature.world.people import Person
from generation.miniature.world.scenes import Scene

TOKEN, CLASS_WORD = "sks", "person"
FEATURES_SAID = 12  # at most, so that the 77 tokens hold them
SYNONYMS = {
    "t-shirt": ("t-shirt", "shirt", "tee"),
    "sweater": ("sweater", "jumper", "pullover"),
    "coat": ("coat", "jacket"),
    "dress": ("dress", "gown"),
}


SKINS = ("pale", "light", "tan", "dark", "deep")  # as people.SKIN_TONES
# As people.HAIR_TONES. No word of skin, clothes or places among them: a word of its own is learned sooner.
HAIRS = ("raven", "brunette", "auburn", "blond", "ginger")
OLD_HAIR = "silver"
IRISES = ("brown", "green", "blue")


def _nearest(names: tuple[str, ...], share: float) -> str:
    return names[round(share * (len(names) - 1))]


def features(person: Person) -> list[str]:
    """What a head looks like, in phrases; of what is neither one nor the other (0.35..0.65) nothing is said.

    Nobody types all this. It gives the networks a word for each feature of a face, and a LoRA's training
    words to gather under its own.
    """

    def extreme(share: float, low: str, high: str) -> list[str]:
        return [low] if share < 0.35 else [high] if share > 0.65 else []

    hair = OLD_HAIR if person.age == "old" else _nearest(HAIRS, person.hair_tone)
    phrases = [
        f"{_nearest(SKINS, person.skin)} skin",
        "bald" if person.hair_style == "bald" else f"{hair} {person.hair_style} hair",
        f"{_nearest(IRISES, person.iris)} eyes",
        *extreme(person.hair_volume, "flat hair", "full hair"),
        *extreme(person.face_width, "narrow face", "wide face"),
        *extreme(person.jaw, "pointed jaw", "square jaw"),
        *extreme(person.eye_size, "small eyes", "large eyes"),
        *extreme(person.eye_spacing, "close eyes", "far eyes"),
        *extreme(person.brow_weight, "thin brows", "thick brows"),
        *extreme(person.nose_length, "short nose", "long nose"),
        *extreme(person.nose_width, "slim nose", "broad nose"),
        *extreme(person.mouth_width, "small mouth", "wide mouth"),
        *extreme(person.lips, "thin lips", "full lips"),
    ]
    if person.beard:
        phrases.append("moustache" if person.beard < 0.5 else "beard")
    if person.glasses:
        phrases.append("round glasses" if person.glasses < 0.5 else "square glasses")
    if person.freckles:
        phrases.append("freckles")
    return phrases


def looks(person: Person) -> list[str]:
    """Of the features, those that are also seen from afar: skin, hair, beard, glasses."""
    first = features(person)
    return first[:2] + [
        phrase for phrase in first[2:] if phrase.split()[-1] in ("moustache", "beard", "glasses")
    ]


def action_of(scene: Scene) -> str:
    return joints.ACTIONS[scene.action].description


def clothes(scene: Scene, rng: random.Random) -> str:
    word = rng.choice(SYNONYMS[scene.garment])
    article = rng.choice(("a ", "a ", ""))
    if article and scene.colour[0] in "aeiou":
        article = "an "
    return f"wearing {article}{scene.colour} {word}"


def scene_caption(scene: Scene, rng: random.Random) -> str:
    """As ``generation.prompts.scene_prompt`` words it; looks, clothes and place are left out at times."""
    parts = [f"{scene.person.age} {scene.person.gender}"]
    if rng.random() < 0.75:
        parts += [phrase for phrase in looks(scene.person) if rng.random() < 0.9]
    parts.append(action_of(scene))
    if rng.random() < 0.93:
        parts.append(clothes(scene, rng))
    if rng.random() < 0.85:
        parts.append(scene.place.description)
    return ", ".join(parts)


def face_caption(scene: Scene, rng: random.Random) -> str:
    """As ``generation.prompts.face_prompt`` words it, the visitor being anybody; often with features."""
    parts = [f"face of {CLASS_WORD}", f"{scene.person.age} {scene.person.gender}"]
    if rng.random() < 0.6:
        parts.append(clothes(scene, rng))
    parts = parts[: rng.choice((1, 2, 3, 3))]
    if rng.random() < 0.7:
        said = [phrase for phrase in features(scene.person) if rng.random() < 0.8]
        rng.shuffle(said)
        parts += said[:FEATURES_SAID]
    return ", ".join(parts)


def _corpus() -> list[str]:
    texts = [action.description for action in joints.ACTIONS.values()] + list(joints.ACTIONS)
    texts += [f"{light} {text}" for text in places.DESCRIPTIONS.values() for light in places.SKIES]
    texts += [f"{age} {gender}" for age in people.AGES for gender in people.GENDERS]
    texts += [f"wearing {c} {word}" for c in people.COLOURS for words in SYNONYMS.values() for word in words]
    everybody = [people.random_person(seed) for seed in range(300)]
    texts += sorted({phrase for person in everybody for phrase in features(person)})
    return [*texts * 20, *[f"photo of {TOKEN} {CLASS_WORD}, face of {TOKEN} {CLASS_WORD}, a, an"] * 40]


def write_tokenizer(folder: Path) -> None:
    """Train a byte-pair vocabulary on the words above and write it as CLIP's tokenizer files.

    Pairs that are equally frequent come in any order, so a second call can number some tokens otherwise.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(r" ", "removed"), pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=1600,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    words = alphabet + [f"{letter}</w>" for letter in alphabet]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in trained["merges"]]
    words += [w for w in dict.fromkeys(a + b for a, b in merges) if w not in set(words)]
    write_tokenizer_files(folder, words, merges)


def write_tokenizer_files(folder: Path, words: list[str], merges: list[tuple[str, str]]) -> None:
    """CLIP's tokenizer files of a byte-pair vocabulary; start and end of text come last."""
    start, end = "<|startoftext|>", "<|endoftext|>"
    vocabulary = {word: index for index, word in enumerate([*words, start, end])}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), "utf-8")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    settings |= {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), "utf-8")  # the last
