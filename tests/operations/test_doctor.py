"""Each fault of an installation, injected, is found by the doctor with a sentence that says what to do."""

import io
import os
import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from benchmarks.harness import ROOT
from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_job
from benchmarks.harness.receivers import receiving, redirect_to_itself, status
from benchmarks.harness.running_service import free_port
from diffuser_api.models import Job
from diffuser_api.operations import doctor

pytestmark = pytest.mark.django_db


@pytest.fixture
def catalogue(db):
    return make_catalogue()


@pytest.fixture
def answering(request):
    """The address of a server that gives one answer to every request."""
    with receiving(request.param) as receiver:
        yield receiver.origin


def test_a_healthy_installation_is_said_to_be_one(live_server, settings):
    settings.SERVER_URL, settings.ALLOWED_HOSTS = live_server.url, ["localhost"]
    settings.SECRET_KEY = "".join(chr(33 + n) for n in range(60))
    out = io.StringIO()
    call_command("doctor", stdout=out)
    assert [line[:6].strip() for line in out.getvalue().splitlines()] == ["ok"] * len(doctor.PARTS), (
        out.getvalue()
    )


def test_what_is_wrong_ends_the_command_with_1(db, settings):
    settings.SERVER_URL = f"http://127.0.0.1:{free_port()}"
    out = io.StringIO()
    with pytest.raises(CommandError, match="to mend"):
        call_command("doctor", stdout=out)
    assert "wrong health check\n      http://127.0.0.1" in out.getvalue()


@pytest.mark.parametrize("name", doctor.FOLDERS)
def test_a_folder_that_is_not_there_or_closed(name, settings, tmp_path):
    setattr(settings, name, tmp_path / "nowhere")
    (found, *_) = doctor.folders()
    assert name in found and "can't be written to" in found and "set another folder" in found


@pytest.mark.parametrize("odd", ["a\nb", "it's", "a$HOME", 'a"b', "a;b"])
def test_a_folder_with_odd_characters(odd, settings, tmp_path):
    settings.DATA_DIR = tmp_path / odd
    settings.DATA_DIR.mkdir()
    (found,) = doctor.folders()
    assert "DATA_DIR" in found and "plain name" in found


def test_a_folder_with_spaces_is_none_of_them(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "my data (é)"
    settings.DATA_DIR.mkdir()
    assert doctor.folders() == []


def test_too_little_room(settings):
    settings.MIN_FREE_MB = 2**40
    (found,) = doctor.folders()
    assert "MB free" in found and "Make room" in found


def test_a_migration_that_has_not_run(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, app, name, applied FROM django_migrations ORDER BY id DESC LIMIT 1")
        last = cursor.fetchone()
        cursor.execute("DELETE FROM django_migrations WHERE id = %s", [last[0]])
    try:
        (found,) = doctor.database()
        assert "Run `manage.py migrate`" in found
    finally:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO django_migrations VALUES (%s, %s, %s, %s)", last)


def test_a_database_on_a_network_disk(db, monkeypatch):
    part = psutil.disk_partitions(all=True)[0]._replace(mountpoint="/", fstype="nfs4")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [part])
    (found,) = doctor.database()
    assert "network disk (nfs4)" in found and "DATABASE_URL" in found


def run_with(tmp_path: Path, **settings: str) -> subprocess.CompletedProcess:
    folders = {name: str(tmp_path / name.lower()) for name in doctor.FOLDERS}
    return subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=os.environ | folders | settings,
        capture_output=True,
        text=True,
    )


def test_a_damaged_database_and_an_old_clock_end_in_sentences(tmp_path):
    data = tmp_path / "data_dir"
    data.mkdir()
    (data / "db.sqlite3").write_bytes(b"this is no database" * 1000)
    done = run_with(tmp_path, SERVER_URL=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "The database can't be used" in done.stdout and "does not answer" in done.stdout


def test_a_setting_that_means_nothing_is_named(tmp_path):
    done = run_with(tmp_path, HTTPS="ture")
    assert done.returncode == 1 and "HTTPS='ture' must be true or false" in done.stderr


def test_a_clock_that_was_set_back(catalogue):
    make_job()
    Job.objects.update(created_at=timezone.now() + timedelta(hours=2))
    (found,) = doctor.clock()
    assert "Set the clock" in found and "NTP" in found


def test_a_clock_that_was_never_set(db, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: doctor.BUILT - timedelta(days=9000))
    assert "Set it" in doctor.clock()[0]


def test_a_missing_model(monkeypatch, tmp_path):
    monkeypatch.setenv("INPAINT_MODEL", str(tmp_path / "nowhere"))
    assert any("nowhere" in found for found in doctor.system_checks())


def test_a_name_that_is_no_setting(settings):
    settings.MISTAKEN_NAMES = ["HTTP is no setting and changes nothing. Is HTTPS meant?"]
    assert settings.MISTAKEN_NAMES[0] in doctor.system_checks()


def test_a_public_host_without_tls_that_takes_strangers(settings):
    settings.ALLOWED_HOSTS, settings.OPEN_API = ["cartolina.example"], True
    found = " ".join(doctor.system_checks())
    assert "HTTPS is off" in found and "Set OPEN_API=false" in found


def test_visitors_that_are_not_told_apart_behind_a_proxy(settings):
    settings.HTTPS, settings.NUM_PROXIES = True, 0
    assert any("Set NUM_PROXIES" in found for found in doctor.system_checks())


def test_missing_fonts_and_texts(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(doctor.finders, "find", lambda name: None)
    texts = tmp_path / "studio" / "locale" / "de" / "LC_MESSAGES" / "django.po"
    texts.parent.mkdir(parents=True)
    texts.touch()
    settings.BASE_DIR = tmp_path
    font, language = doctor.files()
    assert "Install Cartolina anew" in font and "'de'" in language and "compilemessages" in language


@pytest.mark.parametrize(
    "answering", [status(301, "Location: https://a.example/\r\n"), status(404)], indirect=True
)
def test_a_health_check_that_another_server_answers(answering, settings):
    settings.SERVER_URL = answering
    (found,) = doctor.health_check()
    assert "Set SERVER_URL" in found


@pytest.mark.parametrize("answering", [status(200)], indirect=True)
def test_a_health_check_that_takes_long(answering, settings, monkeypatch):
    settings.SERVER_URL = answering
    assert doctor.health_check() == []
    monkeypatch.setattr(doctor, "SECONDS_OF_HEALTH", 0.0)
    (found,) = doctor.health_check()
    assert "look for what else runs" in found


@pytest.mark.parametrize(
    "answering, words",
    [
        (redirect_to_itself, "X-Forwarded-Proto"),
        (status(400), "ALLOWED_HOSTS"),
        (status(502), "answers 502"),
    ],
    indirect=["answering"],
)
def test_a_proxy_that_is_not_set_up(answering, words, settings):
    settings.HTTPS, settings.CSRF_TRUSTED_ORIGINS = True, [answering]
    (found,) = doctor.proxy()
    assert words in found


def test_a_proxy_whose_certificate_is_not_trusted(settings, tmp_path):
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*made, "-keyout", key, "-out", chain], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with receiving(status(200), context) as receiver:
        settings.HTTPS, settings.CSRF_TRUSTED_ORIGINS = True, [f"https://127.0.0.1:{receiver.port}"]
        (found,) = doctor.proxy()
    assert "no TLS certificate that is trusted" in found


def test_a_proxy_that_no_setting_names(settings):
    settings.HTTPS, settings.CSRF_TRUSTED_ORIGINS = True, []
    assert "Set CSRF_TRUSTED_ORIGINS" in doctor.proxy()[0]


def test_a_proxy_that_is_not_there(settings):
    settings.HTTPS, settings.CSRF_TRUSTED_ORIGINS = True, [f"https://127.0.0.1:{free_port()}"]
    assert "can't be reached" in doctor.proxy()[0]


def test_a_host_name_without_an_address(settings):
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "nobody.invalid"]
    (found,) = doctor.name_of_this_host()
    assert "nobody.invalid" in found
