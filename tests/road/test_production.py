"""The documented deployment: the image's commands, compose's settings, and the document's nginx with TLS."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time

import pytest
import urllib3
import yaml

from benchmarks.harness import ROOT
from benchmarks.harness.running_service import WISH, RunningService, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx: apt-get install nginx-light"),
]
SITE = "cartolina.example"
WEB = "127.0.0.2"  # as with compose's name "web", ALLOWED_HOSTS doesn't have it
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HEALTH_CHECK, START = (json.loads(words) for words in re.findall(r"^ *CMD (\[.*\])$", DOCKERFILE, re.M))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
DOCUMENT = (ROOT / "docs" / "deployment.md").read_text()
NGINX = """
daemon off;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""
SECONDS_FOR_A_JOB = 300.0


def documented_settings() -> dict[str, str]:
    """The lines of .env in the part about TLS."""
    part = DOCUMENT.partition("## TLS")[2].partition("\n## ")[0]
    lines = re.search(r"```sh\n(.*?)```", part, re.S)[1].split()
    return dict(line.split("=", 1) for line in lines)


def composed(folder, port: int) -> dict[str, str]:
    """The environment of compose's web service, with .env's values and this machine's places."""
    given = documented_settings() | {"SECRET_KEY": secrets.token_urlsafe(48)}
    values = {}
    for name, text in COMPOSE["web"]["environment"].items():
        text = re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda m: given.get(m[1], m[2] or ""), str(text))
        values[name] = text.replace("/app/", f"{folder}/").replace("web:8000", f"{WEB}:{port}")
    values["HF_HOME"], values["HOME"] = str(folder / "models"), str(folder)
    return given | values


def command(words: list[str], port: int) -> list[str]:
    """As in the image, but on the test's port."""
    assert words[0] == "python"
    return [word.replace("0.0.0.0:8000", f"{WEB}:{port}") for word in words[1:]]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("production")
    port = free_port()
    settings = composed(folder, port)
    fast = {"TRAINING_STEPS": "4", "DENOISING_STEPS": "2", "OPEN_API": "false", "ADDRESS_RATE": "600/minute"}
    service = RunningService(folder, beside=(), **settings, **fast)
    service.port, service.url = port, f"http://{WEB}:{port}"
    service.commands = {"web": command(START, port)}
    for name in ("worker", "webhooks"):
        service.commands[name] = command(COMPOSE[name]["command"].split(), port)
    service.start_again()
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def site(service, tmp_path_factory):
    """The site as visitors reach it: a pool of TLS connections to nginx."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    certificate, key = folder / "cartolina.pem", folder / "cartolina.key"
    names = ["-subj", f"/CN={SITE}", "-addext", f"subjectAltName=DNS:{SITE}"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = re.search(r"```nginx\n(.*?)```", DOCUMENT, re.S)[1]
    server = server.replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl", str(folder))
    server = server.replace("http://127.0.0.1:8000", service.url)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, user=user, server=server))
    log = (folder / "log").open("wb")
    nginx = subprocess.Popen(["nginx", "-e", "stderr", "-c", configuration], stdout=log, stderr=log)
    try:
        pool = urllib3.HTTPSConnectionPool(
            "127.0.0.1",
            port,
            ca_certs=str(certificate),
            assert_hostname=SITE,
            server_hostname=SITE,
            timeout=60,
        )
        retries = urllib3.Retry(connect=50, backoff_factor=0.1, backoff_max=0.5, redirect=0)
        assert pool.request("GET", "/healthz", headers={"Host": SITE}, retries=retries).status == 200
        yield pool
    finally:
        nginx.terminate()
        nginx.wait(30)
        log.close()


@pytest.fixture(scope="module")
def ask(service, site):
    """Calls the API through TLS as a front-end with a token."""
    token = service.manage("create_client", "front-end")

    def ask(method: str, path: str, **options):
        headers = {"Host": SITE, "Authorization": f"Bearer {token}"}
        return site.request(method, path, headers=headers, redirect=False, **options)

    return ask


def finished(ask, answer) -> dict:
    """The job of this answer, when it has ended."""
    assert answer.status == 202, answer.data
    url = answer.json()["status_url"]
    assert url.startswith(f"https://{SITE}/")
    end = time.monotonic() + SECONDS_FOR_A_JOB
    while time.monotonic() < end:
        job = ask("GET", url.removeprefix(f"https://{SITE}")).json()
        if job["status"] not in ("queued", "running"):
            return job
        time.sleep(0.5)
    raise AssertionError(f"not finished: {job}")


def test_the_images_health_check_passes(service):
    words = [word.replace("127.0.0.1:8000", f"{WEB}:{service.port}") for word in HEALTH_CHECK]
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_five_photos_become_a_picture(service, ask):
    photos = [("images", (f"{n}.png", photo, "image/png")) for n, photo in enumerate(service.photos)]
    training = finished(ask, ask("POST", "/api/lora-training/", fields=photos))
    assert training["status"] == "succeeded", training
    wish = WISH | {"selected_lora": training["code"], "seed": 1}
    picture = finished(ask, ask("POST", "/api/generate-image/", json=wish))
    assert picture["status"] == "succeeded", picture
    shown = ask("GET", picture["output_url"].removeprefix(f"https://{SITE}"))
    assert shown.status == 200 and shown.data.startswith(b"\x89PNG")
    assert service.working_files() == []


def test_strangers_need_tls_and_the_sites_name(service):
    def get(host: str):
        return urllib3.request("GET", service.url + "/api/pois/", headers={"Host": host}, redirect=False)

    assert get("web:8000").status == 400
    assert get(SITE).status == 301


def test_the_deployments_check_finds_nothing_wrong(service):
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=service.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "can't be delivered" not in (service.folder / "worker.log").read_text()


def test_it_ends_when_it_is_told_to_and_leaves_nothing(service, site):
    tree = [process for _, process in service.tree()]
    assert len(tree) >= 3
    service.stop()
    assert not [process for process in tree if process.is_running() and process.status() != "zombie"]
    assert service.working_files() == []
    assert not list((service.folder / "tmp_data").iterdir())


def test_files_are_nobody_elses(service):
    data = service.folder / "data"
    open_to_others = [path for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077]
    assert data.is_dir() and not open_to_others
