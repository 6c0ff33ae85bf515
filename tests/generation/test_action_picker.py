"""Free text to action: finds what is meant, refuses what isn't, stays light, survives many callers."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.action_picker import ACTIONS, MEANT, UNRELATED, measure
from generation import action_picker
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
    assert len(pick(text, ACTIONS)) == len(ACTIONS)


def test_action_without_description_and_no_actions():
    assert pick("jumping", [("jumping", "")]) == [Match("jumping", pytest.approx(1, abs=1e-4))]
    assert pick("jumping", []) == []


def test_many_threads_load_once_and_agree():
    action_picker._load.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: pick("on my knees", ACTIONS), range(24)))
    assert all(answer == answers[0] for answer in answers)
    assert action_picker._load.cache_info().misses == 1


def test_wrong_model_file_is_refused(monkeypatch, tmp_path):
    package = tmp_path / "another_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model.onnx").write_bytes(b"not the model")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(action_picker, "MODEL_PACKAGE", "another_model")
    with pytest.raises(ModelUnavailable, match="install it again"):
        action_picker._verified_model()
    monkeypatch.setattr(action_picker, "MODEL_PACKAGE", "no_such_model")
    with pytest.raises(ModelUnavailable, match="pip install"):
        action_picker._verified_model()


def test_command_line_without_torch_or_django():
    code = (
        "import sys; from generation.action_picker import main; "
        "status = main(['he leaps for joy', 'waving=waving a hand', 'jumping=jumping in the air']); "
        "heavy = {'torch', 'transformers', 'django'} & set(sys.modules); assert not heavy, heavy; "
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
