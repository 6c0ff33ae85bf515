"""The files around the code say what is so: settings, image, compose, Makefile."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from django.urls import resolve

from benchmarks.harness import ROOT
from generation.models.profile_variables import VARIABLES

READ_BY_DJANGO = re.compile(r"""\benv\.\w+\(\s*"([A-Z][A-Z0-9_]+)\"""")
READ_BY_GENERATION = re.compile(r"""\benviron(?:\.get\(|\[)\s*"([A-Z][A-Z0-9_]+)\"""")


def settings_in_example() -> set[str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {match[1] for line in lines if (match := re.match(r"#?([A-Z][A-Z0-9_]+)=", line))}


def settings_in_code() -> set[str]:
    names = set(READ_BY_DJANGO.findall((ROOT / "djangoproject/settings.py").read_text()))
    names |= set(VARIABLES)
    for path in (ROOT / "generation").rglob("*.py"):
        names |= set(READ_BY_GENERATION.findall(path.read_text()))
    return names


def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def test_env_example_names_every_setting_and_no_other():
    assert settings_in_example() == settings_in_code()


def test_compose_publishes_one_port_on_this_host_alone():
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8000:8000"]


def test_compose_starts_the_gpu_worker_only_when_it_is_asked_for():
    """On a host without a GPU it can't start."""
    services = compose()["services"]
    assert services["worker-gpu"]["profiles"] == ["gpu"]
    assert "profiles" not in services["web"] and "profiles" not in services["worker"]


def test_compose_keeps_what_must_outlive_a_container():
    described = compose()
    used = {mount.split(":")[0] for mount in described["services"]["worker"]["volumes"]}
    assert used == set(described["volumes"])
    assert {"data", "models"} <= used


def test_a_container_can_change_nothing_but_its_volumes_and_gains_no_rights():
    services = compose()["services"]
    for name, service in services.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"] and service["pids_limit"], name
    assert all(services[name]["mem_limit"] for name in ("web", "webhooks"))


def test_compose_asks_only_for_settings_that_exist():
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))
    assert asked <= settings_in_example()


def test_dockerfile_copies_and_runs_what_exists():
    text = dockerfile()
    copied = [source for source in re.findall(r"^COPY (?!--from)(\S+) \S+$", text, re.M) if source != "."]
    modules = [name for name in re.findall(r"python -m ([\w.]+)", text) if name.startswith("generation.")]
    scripts = re.findall(r"python (\w+\.py)", text)
    for path in (*copied, *scripts, *(name.replace(".", "/") + ".py" for name in modules)):
        assert (ROOT / path).is_file(), path


def test_image_runs_without_root_and_has_a_health_check():
    text = dockerfile()
    assert int(re.findall(r"^USER (\d+)$", text, re.M)[-1]) > 0
    health_check = re.search(r"http://127\.0\.0\.1:8000(/\w+)", text)
    assert resolve(health_check[1])


def test_image_leaves_secrets_and_visitors_pictures_out():
    left_out = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".env", ".git", "data/*", "tmp_data", "training-app/training-input/*"} <= set(left_out)


def test_every_target_that_help_and_readme_name_exists():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = re.findall(r"\bmake ([a-z][\w-]*)", shown) + re.findall(
        r"`make ([a-z][\w-]*)", (ROOT / "README.md").read_text()
    )
    rules = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.M)
    assert "test" in named and set(named) <= set(rules)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_refuses_an_old_python_by_name(tmp_path, target):
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.txt").touch()
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    command = ["make", target, f"PYTHON={old}"]
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed" in result.stderr
    assert not (folder / ".venv").exists()


def test_shell_scripts_are_executable():
    for path in (".ci/run", "restart-if-killed.bash", "training-app/launch.bash"):
        assert os.access(ROOT / path, os.X_OK), path
