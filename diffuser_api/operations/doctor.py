"""What an installer gets wrong, tried part by part: each finding is a sentence that says what to do.

``manage.py doctor`` prints it. Settings that can't be understood stop every command already, with their name.
"""

from __future__ import annotations

import re
import socket
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import urllib3
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core import checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.utils import timezone

from diffuser_api import storage
from diffuser_api.access.internal import HEALTH
from diffuser_api.models import Job
from diffuser_api.operations import disk

FOLDERS = ("DATA_DIR", "TMP_DATA_DIR", "TRAINING_APP_DIR")
LOCAL = {"localhost", "127.0.0.1", "[::1]"}
OF_HTTPS = {
    "security.W004",
    "security.W008",
    "security.W012",
    "security.W016",
}  # that it is off, in other words
ODD = re.compile(r"[\x00-\x1f\x7f\"'`$\\;&|<>*?!]")  # mean something in a shell, or can't be seen
NETWORK_DISKS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs")
SECONDS_OF_HEALTH = 1.0
MOST_AHEAD = timedelta(minutes=1)
BUILT = datetime(2026, 1, 1, tzinfo=UTC)  # no clock that is right shows an earlier time
FONTS = ("studio/fraunces-latin-wght-normal.woff2",)


def system_checks() -> list[str]:
    """What `manage.py check --deploy` finds: models, deliveries, names that are no settings, and more."""
    found = checks.run_checks(include_deployment_checks=True)
    found = [one for one in found if one.level >= checks.WARNING and not one.is_silenced()]
    sentences = []
    if not set(settings.ALLOWED_HOSTS) <= LOCAL:
        if not settings.HTTPS:
            sentences.append(
                "HTTPS is off: others on the way can read faces. Set it behind a proxy with TLS."
            )
    else:  # nobody but this machine: it may stay open
        found = [one for one in found if one.id != "cartolina.W002"]
    told = [one for one in found if one.id not in OF_HTTPS and not one.id.startswith("drf_spectacular.")]
    return sentences + [" ".join(filter(None, (one.msg, one.hint))) for one in told]


def folders() -> list[str]:
    found = []
    for name in FOLDERS:
        folder = Path(getattr(settings, name))
        try:
            trial = folder / f"doctor-{uuid.uuid4().hex}"
            trial.write_bytes(b"a")
            trial.unlink()
        except OSError as error:
            found.append(
                f"{name}={folder} can't be written to ({error.strerror}). Give it to the user that Cartolina "
                "runs as, or set another folder."
            )
        if ODD.search(str(folder)):
            found.append(f"{name}={str(folder)!r} has characters that programs misread. Set a plain name.")
    if short := disk.problem():
        found.append(f"{short}. Make room, or lower MIN_FREE_MB.")
    return found


def stored_files() -> list[str]:
    """A bucket is written to; a disk is tried with the folders."""
    if not settings.BUCKET:
        return []
    if problem := default_storage.problem():
        return [f"The bucket can't be used: {problem}. Look at STORAGE_URL, and whether the server runs."]
    try:
        name = default_storage.save("doctor/trial", ContentFile(b"a"))
        default_storage.delete(name)
    except (storage.Away, OSError) as error:
        return [f"The bucket can't be written to: {error}. Give STORAGE_URL's key the right to do so."]
    if default_storage.keeps_versions():
        return [
            "The bucket keeps deleted files as older versions. Turn its versioning off: deleted faces stay."
        ]
    return []


def database() -> list[str]:
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        damage = _damage() if connection.vendor == "sqlite" else ""
    except DatabaseError as error:
        return [f"The database can't be used ({error}). Look at DATABASE_URL, and whether its server runs."]
    found = [f"{len(waiting)} migrations have not run. Run `manage.py migrate`."] if waiting else []
    if damage:
        found.append(f"The database's file is damaged ({damage}). Restore it from a backup.")
    kind = disk_of(Path(connection.settings_dict["NAME"])) if connection.vendor == "sqlite" else ""
    if kind in NETWORK_DISKS:
        found.append(
            f"The SQLite database is on a network disk ({kind}), where it can be damaged. Put DATA_DIR on a "
            "local disk, or set DATABASE_URL to a PostgreSQL database."
        )
    return found


def _damage() -> str:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA quick_check(1)")
        (said,) = cursor.fetchone()
    return "" if said == "ok" else said


def disk_of(path: Path) -> str:
    """The kind of file system that the path is on."""
    mounts = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else ""


def clock() -> list[str]:
    now = timezone.now()
    if now < BUILT:
        return [f"The clock says {now:%Y-%m-%d}. Set it: signatures and retention go by it."]
    try:
        newest = Job.objects.aggregate(newest=Max("created_at"))["newest"]
    except DatabaseError:
        return []  # said elsewhere
    if newest and newest > now + MOST_AHEAD:
        return [
            f"The clock says {now:%Y-%m-%d %H:%M} UTC, but a job was made at {newest:%Y-%m-%d %H:%M}. Set "
            "the clock, and let it be kept right (NTP)."
        ]
    return []


def files() -> list[str]:
    """What pages are made of: fonts, and texts in every language."""
    found = [
        f"The font {name} is missing. Install Cartolina anew." for name in FONTS if not finders.find(name)
    ]
    for folder in (settings.BASE_DIR / room / "locale" for room in ("studio", "diffuser_api")):
        for texts in sorted(folder.glob("*/LC_MESSAGES/django.po")):
            if not texts.with_suffix(".mo").exists():
                language = texts.parent.parent.name
                found.append(
                    f"The texts in {language!r} are not compiled. Run `django-admin compilemessages`."
                )
    return found


def health_check() -> list[str]:
    """As a container's health check asks: the web server itself, without TLS."""
    url = settings.SERVER_URL.rstrip("/") + HEALTH[0]
    began = time.monotonic()
    try:
        answer = _get(url)
    except urllib3.exceptions.HTTPError as error:
        return [f"{url} does not answer ({type(error).__name__}). Start the web server, or set SERVER_URL."]
    seconds = time.monotonic() - began
    if answer.status != 200:
        return [
            f"{url} answers {answer.status} where Cartolina would say 200. Set SERVER_URL to the web server."
        ]
    if seconds > SECONDS_OF_HEALTH:
        return [f"{url} takes {seconds:.1f} s to answer. The machine is overloaded: look for what else runs."]
    return []


def proxy() -> list[str]:
    """The way of a visitor, through the proxy with TLS, to each of CSRF_TRUSTED_ORIGINS."""
    if not settings.HTTPS:
        return []
    if not settings.CSRF_TRUSTED_ORIGINS:
        return ["The proxy can't be tried. Set CSRF_TRUSTED_ORIGINS to the site's address with https://."]
    return [found for origin in settings.CSRF_TRUSTED_ORIGINS if (found := _through_proxy(origin))]


def _through_proxy(origin: str) -> str:
    url = f"{origin.rstrip('/')}{settings.SCRIPT_NAME or ''}/api/pois/"
    try:
        answer = _get(url)
    except urllib3.exceptions.SSLError as error:
        return f"{url} has no TLS certificate that is trusted here: {error}."
    except urllib3.exceptions.HTTPError as error:
        return f"{url} can't be reached from here ({type(error).__name__}). Look at the proxy and the name."
    if answer.status in (301, 302, 307, 308) and answer.headers.get("Location") == url:
        return f"{url} redirects to itself: the proxy must set X-Forwarded-Proto to https."
    if answer.status == 400:
        return f"{url} answers 400: the proxy must pass Host on, and ALLOWED_HOSTS must have the name in it."
    if answer.status != 200:
        return f"{url} answers {answer.status}: the proxy must pass requests on to the web server."
    return ""


def _get(url: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", url, redirect=False, retries=False, timeout=5.0)


def name_of_this_host() -> list[str]:
    """An outer name that leads to nobody makes every webhook and page fail."""
    found = []
    for host in settings.ALLOWED_HOSTS:
        if host.startswith((".", "*", "[")) or host.replace(".", "").isdigit():
            continue
        try:
            socket.getaddrinfo(host, None)
        except OSError:
            found.append(
                f"ALLOWED_HOSTS has {host}, a name without an address. Correct it, or set up its DNS."
            )
    return found


PARTS: dict[str, Callable[[], list[str]]] = {
    "folders": folders,
    "stored files": stored_files,
    "database": database,
    "clock": clock,
    "settings, models, delivery": system_checks,
    "fonts and texts": files,
    "health check": health_check,
    "host names": name_of_this_host,
    "proxy": proxy,
}
