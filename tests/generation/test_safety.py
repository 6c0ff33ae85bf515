"""The safety check judges finished pictures: what it refuses is a job failed for a reason, never black."""

import urllib.error

import pytest

from benchmarks.harness.api_client import get_bytes, post_json, wait_for
from benchmarks.harness.job_folders import make_job, same_pixels
from benchmarks.harness.running_service import WISH
from benchmarks.harness.running_worker import wait_until
from benchmarks.harness.small_models import make_safety_checker
from generation import generator, generator_classic, job_folder
from generation.models import hub, profiles
from generation.models.safety import PictureRefused

pytestmark = pytest.mark.usefixtures("family", "few_steps", "warm_starts")


@pytest.fixture(scope="module")
def checkers(tmp_path_factory):
    """A folder with two safety checkers: ``strict`` refuses every picture, ``lenient`` none."""
    folder = tmp_path_factory.mktemp("checkers")
    make_safety_checker(folder / "strict", refuses=True)
    make_safety_checker(folder / "lenient", refuses=False)
    return folder


@pytest.mark.parametrize("generate", [generator.generate, generator_classic.generate])
def test_a_refused_picture_is_kept_nowhere(generate, checkers, tmp_path, monkeypatch):
    monkeypatch.setenv("SAFETY_MODEL", str(checkers / "strict"))
    job = make_job(tmp_path / "12345678")
    with pytest.raises(PictureRefused, match="another seed or other words"):
        generate(job)
    assert not job_folder.picture_path(job, 4).exists()


def test_an_accepted_picture_is_the_same_as_without_the_check(checkers, tmp_path, monkeypatch):
    plain = generator.generate(make_job(tmp_path / "plain"))
    monkeypatch.setenv("SAFETY_MODEL", str(checkers / "lenient"))
    monkeypatch.setenv("SAFETY_CHECK", "required")
    judged = generator.generate(make_job(tmp_path / "judged"))
    assert same_pixels(plain, judged)


def test_a_check_that_is_required_and_missing_paints_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SAFETY_MODEL", str(tmp_path / "nowhere"))
    monkeypatch.setenv("SAFETY_CHECK", "required")
    with pytest.raises(generator.StepFailed, match="nowhere does not exist"):
        generator.generate(make_job(tmp_path / "12345678"))
    (tmp_path / "nowhere").mkdir()
    with pytest.raises(generator.StepFailed, match="safety_checker"):
        generator.generate(make_job(tmp_path / "87654321"))


def test_sd15_paints_nothing_that_no_safety_check_has_seen(monkeypatch):
    monkeypatch.delenv("SAFETY_CHECK", raising=False)
    profile = profiles.get_profile("sd15")
    assert profile.safety_check == "required" and profile.safety_model in hub.needed(profile)


def test_only_a_required_check_is_a_needed_model(monkeypatch):
    monkeypatch.setenv("SAFETY_CHECK", "present")
    assert profiles.SD15.safety_model not in hub.needed(profiles.get_profile("sd15"))
    monkeypatch.setenv("SAFETY_CHECK", "required")
    needed = hub.needed(profiles.get_profile("sd15"))
    assert needed[profiles.SD15.safety_model] == "safety check"
    assert "safety_checker/model.fp16.safetensors" in hub.files(profiles.SD15.safety_model)
    with pytest.raises(ValueError, match="SAFETY_CHECK"):
        profiles.get_profile("miniature")


@pytest.fixture
def strict_service(checkers, request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFETY_MODEL", str(checkers / "strict"))
        yield request.getfixturevalue("server_and_worker")


def test_a_job_whose_picture_is_refused_fails_with_the_reason(strict_service):
    status, answer = post_json(f"{strict_service.url}/api/generate-image/", WISH)
    assert status == 202
    last = wait_for(answer["status_url"], 300)[-1]
    assert (last["status"], last["error"]["code"]) == ("failed", "picture_refused")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get_bytes(answer["output_url"])
    wait_until(lambda: not strict_service.working_files(), 10)
