"""Every test has a data folder of its own. Fixtures for several test files are in ``fixtures/``.

A test that uses a model, a service or a browser is marked so here, by the fixtures that it asks for; one that
takes seconds for another reason is marked ``slow`` where it stands. ``--fast`` leaves all of them out. With
``--no-processes``, a test is also skipped at the moment when it starts a process, such as the photo gate's.
"""

from __future__ import annotations

import collections
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import django
import django.conf
import pytest
from django.core.management.commands import flush

pytest_plugins = (
    "tests.fixtures.content",
    "tests.fixtures.models",
    "tests.fixtures.object_storage",
    "tests.fixtures.services",
)

# The product forces each stored file and each row to the disk, and a test waits for that. So temporary
# folders and the database are in memory, if programs may be started there.
_MEMORY = Path("/dev/shm")
if (
    _MEMORY.is_dir()
    and shutil.disk_usage(_MEMORY).free > 4 * 2**30
    and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# Before the settings are read: nothing of a test may reach the folders that people use.
_SCRATCH = Path(tempfile.mkdtemp(prefix="cartolina-tests-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
os.environ["DATA_DIR"] = str(_SCRATCH / "data")
# The first process of a run sets it, and the processes that share the tests get it from there.
os.environ.setdefault("HARNESS_DIR", str(_SCRATCH))
os.environ["TMP_DATA_DIR"] = str(_SCRATCH / "tmp_data")
os.environ["TRAINING_APP_DIR"] = str(_SCRATCH / "training-app")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OPEN_API"] = "1"
os.environ["DJANGO_SETTINGS_MODULE"] = "djangoproject.settings"  # pytest-django's option reads them too soon
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Other tests use the other cores. Beside them, a picture took 1.4 times as long with two threads as with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# `make setup` cuts this model out of another one. Before that, the other one stands in for it, so that jobs
# are accepted: only tests that paint need the model itself.
_WEIGHTS = Path(__file__).resolve().parent.parent / "generation" / "miniature" / "weights"
if not (_WEIGHTS / "detail").exists():
    os.environ.setdefault("DETAIL_MODEL", str(_WEIGHTS / "inpaint"))

django.setup()

# The product's hash is slow on purpose: a quarter of a second of processor time for each account.
django.conf.settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Each test client loads the middleware. WhiteNoise would read the properties of all static files then.
django.conf.settings.WHITENOISE_AUTOREFRESH = True

_MARK_OF = {
    "small_models": "models",
    "server_and_worker": "service",
    "web_server": "service",
    "browser": "browser",
}
_SLOW_FILE = re.compile(
    r"^pytestmark = pytest\.mark\.(models|slow)"
    r"|^(import|from) (torch|diffusers|safetensors\.torch|benchmarks\.harness\.small_models)\b",
    re.MULTILINE,
)


def pytest_addoption(parser):
    parser.addoption("--fast", action="store_true", help="leave out models, services, browsers, slow tests")
    parser.addoption("--no-processes", action="store_true", help="skip a test when it starts a process")


def pytest_configure(config):
    if config.getoption("no_processes"):
        sys.addaudithook(_skip_at_a_process)


def _skip_at_a_process(event, arguments):
    if event == "subprocess.Popen" and "PYTEST_CURRENT_TEST" in os.environ:  # pytest itself may start some
        pytest.skip("starts a process: runs in make test")


def pytest_ignore_collect(collection_path, config):
    """With ``--fast``, a file that is marked as a whole or imports torch isn't even imported."""
    if config.getoption("fast") and collection_path.suffix == ".py":
        return bool(_SLOW_FILE.search(collection_path.read_text())) or None
    return None


def pytest_itemcollected(item):
    if item.config.getoption("fast") and "torch" in sys.modules:
        raise pytest.UsageError(f"{item.path} imports torch: mark it, or import in the test")


def pytest_collection_modifyitems(config, items):
    for item in items:
        for fixture in _MARK_OF.keys() & set(item.fixturenames):
            item.add_marker(_MARK_OF[fixture])
    if config.getoption("fast"):
        config.hook.pytest_deselected(items=[item for item in items if _is_slow(item)])
        items[:] = [item for item in items if not _is_slow(item)]
    # Files with many slow tests first: none is still running when another process has nothing left to do.
    slow_tests = collections.Counter(item.path for item in items if _is_slow(item))
    items.sort(key=lambda item: -slow_tests[item.path])


def _is_slow(item) -> bool:
    return any(item.get_closest_marker(name) for name in ("slow", *_MARK_OF.values()))


def pytest_unconfigure(config):
    shutil.rmtree(_SCRATCH, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup):
    """After a test with transactions, Django empties all tables and writes the permissions again. That takes
    longer than most tests, and they are always the same. So they stay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", _emptying_all_but_permissions)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_: None)
        yield


def _emptying_all_but_permissions(style, connection, **options) -> list[str]:
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    emptied = set(tables) - {"auth_permission", "django_content_type"}
    return connection.ops.sql_flush(style, sorted(emptied), **options)


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, settings):
    """The storage's root is empty at the start of each test."""
    settings.MEDIA_ROOT = tmp_path / "data"
    settings.DATA_DIR = tmp_path / "data"
    settings.OPEN_API = True  # tests of tokens switch it off
    settings.TMP_DATA_DIR = tmp_path / "tmp_data"
    settings.TRAINING_APP_DIR = tmp_path / "training-app"
    for folder in (settings.DATA_DIR, settings.TMP_DATA_DIR, settings.TRAINING_APP_DIR):
        folder.mkdir()
    return settings.DATA_DIR


@pytest.fixture(autouse=True)
def outlooks_of_now(monkeypatch):
    """What a test has changed in the queue shows at once, not after a second."""
    from diffuser_api.jobs import queue

    monkeypatch.setattr(queue, "OUTLOOK_SECONDS", 0.0)
    monkeypatch.setattr(queue, "NEW_SECONDS", 0.0)
