"""A setting means what it says, or stops the start with a sentence that names it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from benchmarks.harness import ROOT
from djangoproject import environment
from djangoproject.environment import Environment


@pytest.fixture
def env(tmp_path) -> Environment:
    return Environment(tmp_path)


@pytest.mark.parametrize("value", ["true", "True", " 1 ", "yes", "on"])
def test_a_flag_is_on_in_any_usual_spelling(env, monkeypatch, value):
    monkeypatch.setenv("HTTPS", value)
    assert env.flag("HTTPS") is True


@pytest.mark.parametrize("value", ["ture", "true # comment", "2", "enabled", "="])
def test_a_flag_that_is_neither_true_nor_false_is_refused(env, monkeypatch, value):
    monkeypatch.setenv("HTTPS", value)
    with pytest.raises(ImproperlyConfigured, match="HTTPS=.* must be true or false"):
        env.flag("HTTPS")


@pytest.mark.parametrize("value", ["15MB", "15 MB", "-1", "0", "1.5", "1_000", "fifteen"])
def test_a_number_with_a_unit_or_out_of_range_is_refused(env, monkeypatch, value):
    monkeypatch.setenv("MAX_UPLOAD_MB", value)
    with pytest.raises(
        ImproperlyConfigured, match="MAX_UPLOAD_MB=.* whole number without a unit, at least 1"
    ):
        env.number("MAX_UPLOAD_MB", 15, 1)


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_means_the_default(env, monkeypatch, value, tmp_path):
    for name in ("N", "B", "C", "R", "L", "A", "D", "T"):
        monkeypatch.setenv(name, value)
    assert env.number("N", 15, 1) == 15 and env.flag("B", True) is True and env.choice("C", ("a", "b")) == "a"
    assert env.rate("R", "6/minute") == (6, 60) and env.hosts("L", ["localhost"]) == ["localhost"]
    assert env.address("A", "http://127.0.0.1:8000") == "http://127.0.0.1:8000" and env.text("T") == ""
    assert env.database("D", tmp_path / "a#?+%20b.sqlite3")["NAME"] == str(tmp_path / "a#?+%20b.sqlite3")


def test_a_bucket_is_read_with_its_keys_special_characters(env, monkeypatch):
    monkeypatch.setenv("STORAGE_URL", "s3://A%2FB:c%2Bd%40e@s3.example:9000/my-bucket?region=eu-central-1")
    assert env.bucket("STORAGE_URL") == {
        "endpoint_url": "https://s3.example:9000",
        "bucket_name": "my-bucket",
        "access_key": "A/B",
        "secret_key": "c+d@e",
        "region_name": "eu-central-1",
    }
    monkeypatch.setenv("STORAGE_URL", "s3+http://key:word@[::1]/bucket")
    found = env.bucket("STORAGE_URL")
    assert (found["endpoint_url"], found["region_name"]) == ("http://[::1]", "us-east-1")
    monkeypatch.setenv("STORAGE_URL", " ")
    assert env.bucket("STORAGE_URL") == {}


@pytest.mark.parametrize(
    "value",
    [
        "s3://key:hush@host",
        "s3://key:hush@host/",
        "s3://host/bucket",
        "s3://key@host/bucket",
        "https://key:hush@host/bucket",
        "s3://key:hush@host/Bucket",
        "s3://key:hush@host/bucket/folder",
        "s3://key:hush@host:99999/bucket",
        "s3://key:hush@host:0/bucket",
        "s3://key:hu/sh@host/bucket",
        "s3://key:hush@host/bucket?regoin=x",
        "s3://key:hush@host/bucket?region=",
        "s3://key:hush@host/bucket#x",
        "s3://key:hush@ host/bucket",
    ],
)
def test_a_bucket_that_would_be_misread_is_refused_without_its_secret(env, monkeypatch, value):
    monkeypatch.setenv("STORAGE_URL", value)
    with pytest.raises(ImproperlyConfigured, match="STORAGE_URL must be .*s3://KEY:SECRET@host") as refused:
        env.bucket("STORAGE_URL")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("value", ["cartolina", "/a b", "//x", "https://a.example/x"])
def test_a_path_that_is_none_is_refused(env, monkeypatch, value):
    monkeypatch.setenv("SCRIPT_NAME", value)
    with pytest.raises(ImproperlyConfigured, match="SCRIPT_NAME=.* such as /cartolina"):
        env.path("SCRIPT_NAME")


def test_a_path_may_end_with_a_slash(env, monkeypatch):
    monkeypatch.setenv("SCRIPT_NAME", "/cartolina/")
    assert env.path("SCRIPT_NAME") == "/cartolina"


def test_a_list_may_have_spaces(env, monkeypatch):
    monkeypatch.setenv("ALLOWED_HOSTS", " a.example, b.example ,[::1],")
    assert env.hosts("ALLOWED_HOSTS", []) == ["a.example", "b.example", "[::1]"]


@pytest.mark.parametrize(
    "value", ["a.example b.example", "https://a.example", "a.example:8000", "a.example/"]
)
def test_a_host_that_never_matches_is_refused(env, monkeypatch, value):
    monkeypatch.setenv("ALLOWED_HOSTS", value)
    with pytest.raises(ImproperlyConfigured, match="ALLOWED_HOSTS=.* host names without"):
        env.hosts("ALLOWED_HOSTS", [])


@pytest.mark.parametrize("value", ["cartolina.example", "https://cartolina.example/", "https://a b"])
def test_an_origin_that_never_matches_is_refused(env, monkeypatch, value):
    monkeypatch.setenv("CSRF_TRUSTED_ORIGINS", value)
    with pytest.raises(ImproperlyConfigured, match="CSRF_TRUSTED_ORIGINS=.* without a path"):
        env.origins("CSRF_TRUSTED_ORIGINS")


def test_a_folder_may_begin_with_home(env, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("~/x", "$HOME/x", "${HOME}/x"):
        monkeypatch.setenv("DATA_DIR", value)
        assert env.folder("DATA_DIR", "data") == tmp_path / "home" / "x"
    assert (tmp_path / "home" / "x").is_dir() and not (tmp_path / "~").exists()


@pytest.mark.parametrize("value", ["$NOWHERE_SET/x", "/proc/x"])
def test_a_folder_that_cannot_be_is_refused(env, monkeypatch, value):
    monkeypatch.setenv("DATA_DIR", value)
    with pytest.raises(ImproperlyConfigured, match="DATA_DIR=.* must be a folder"):
        env.folder("DATA_DIR", "data")


@pytest.mark.parametrize(
    "value",
    [
        "postgres",
        "nosuch://host/name",
        "postgres://a:pass@host/name#x",
        "sqlite:////tmp/a?b",
        "sqlite:////tmp/a#b",
    ],
)
def test_a_database_url_that_is_none_is_refused_without_its_password(env, monkeypatch, value):
    monkeypatch.setenv("DATABASE_URL", value)
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL must be a URL") as caught:
        env.database("DATABASE_URL", Path("unused"))
    assert "pass" not in str(caught.value).replace("password", "")


def test_a_plus_in_a_database_url_stays_a_plus(env, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:////tmp/a+b%23c.sqlite3")
    assert env.database("DATABASE_URL", Path("unused"))["NAME"] == "/tmp/a+b#c.sqlite3"


def test_the_file_takes_spaces_comments_quotes_and_export(tmp_path, monkeypatch):
    lines = ["HTTPS_A = true", "HTTPS_B=true # behind nginx", "export HTTPS_C='true'", "# HTTPS_D=true", ""]
    lines += ['HTTPS_E="a # b"', "SECRET_A=a#b$c", "SET=no"]
    (tmp_path / ".env").write_text("\n".join(lines), "utf-8-sig")
    monkeypatch.setattr(os, "environ", {"SET": "yes"})
    environment.load(tmp_path / ".env")
    named = {"HTTPS_A": "true", "HTTPS_B": "true", "HTTPS_C": "true", "HTTPS_E": "a # b"}
    assert os.environ == named | {"SECRET_A": "a#b$c", "SET": "yes"}


@pytest.mark.parametrize("line", ["HTTPS", "HTTPS: true", "MAX UPLOAD=3"])
def test_a_line_of_the_file_that_sets_nothing_is_refused(tmp_path, line):
    (tmp_path / ".env").write_text(f"A_SETTING=1\n{line}\n")
    with pytest.raises(ImproperlyConfigured, match=r"\.env, line 2: .* is not written as NAME=VALUE"):
        environment.load(tmp_path / ".env")


@pytest.mark.parametrize("name", ["ALLOWED_HOST", "MAX_UPLOAD", "keep_loras_days", "STUDIOS"])
def test_a_name_that_looks_like_a_setting_is_told(env, monkeypatch, name):
    monkeypatch.setattr(
        os, "environ", {name: "1", "PATH": "/bin", "LANG": "C", "http_proxy": "x", "HOME": "/"}
    )
    for known in ("ALLOWED_HOSTS", "MAX_UPLOAD_MB", "KEEP_LORAS_DAYS", "STUDIO", "DATA_DIR"):
        env.text(known)
    [sentence] = env.look_alikes()
    assert sentence.startswith(f"{name} is no setting")


def manage(*arguments: str, **changes: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | changes, capture_output=True, text=True)


def test_the_command_line_says_one_sentence_and_no_traceback():
    done = manage("check", MAX_UPLOAD_MB="15MB")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: MAX_UPLOAD_MB='15MB' must be a whole number without a unit")


def test_the_database_is_in_the_data_dir_whatever_its_name(tmp_path):
    folder = tmp_path / "beside" / "d#a?t+a%20 ü"
    done = manage("migrate", "diffuser_api", "0001", "--verbosity", "0", DATA_DIR=str(folder))
    assert done.returncode == 0 and (folder / "db.sqlite3").stat().st_size > 0, done.stderr
    assert list(folder.parent.iterdir()) == [folder]


def test_a_check_tells_a_mistaken_name():
    assert (
        "ALOWED_HOSTS is no setting and changes nothing. Is ALLOWED_HOSTS meant?"
        in manage("check", ALOWED_HOSTS="a.example").stderr
    )


def test_processes_that_start_first_at_once_share_one_whole_key(tmp_path):
    from djangoproject.settings import _kept_secret_key

    folder = tmp_path / "kept"
    folder.mkdir()
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(_kept_secret_key, [folder / "secret_key"] * 200))
    assert len(set(keys)) == 1 and len(keys[0]) > 50
    assert [file.name for file in folder.iterdir()] == ["secret_key"]
    assert (folder / "secret_key").stat().st_mode & 0o077 == 0
