"""What is stored is for the service's own user, and HSTS promises no more than was chosen."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.harness import ROOT

READ = """
import json, os
from pathlib import Path
import django
django.setup()
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
default_storage.save("outputs/1.png", ContentFile(b"x"))
data = Path(settings.DATA_DIR)
found = [data, *data.rglob("*"), Path(settings.TMP_DATA_DIR)]
open_to_others = [str(path) for path in found if path.stat().st_mode & 0o077]
print(json.dumps([open_to_others, settings.SECURE_HSTS_SECONDS > 0, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS,
                  settings.SECURE_HSTS_PRELOAD]))
"""


def started(folder, **changes) -> list:
    environment = os.environ | {
        "DATA_DIR": str(folder / "data"),
        "TMP_DATA_DIR": str(folder / "tmp_data"),
        "SECRET_KEY": "",
        **changes,
    }
    command = [sys.executable, "-c", READ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_other_users_of_the_machine_can_read_nothing_that_is_stored(tmp_path):
    data = tmp_path / "of-a-checkout" / "data"
    data.mkdir(parents=True)
    data.chmod(0o755)  # as a checkout makes it
    found = started(data.parent)[0]
    assert set(found) <= {str(data)}  # it may be a group's
    assert data.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    "changes, promised",
    [
        ({"HTTPS": "false", "HSTS": "preload"}, [False, False, False]),
        ({"HTTPS": "true"}, [True, False, False]),
        ({"HTTPS": "true", "HSTS": "subdomains"}, [True, True, False]),
        ({"HTTPS": "true", "HSTS": "preload"}, [True, True, True]),
    ],
)
def test_subdomains_and_preload_are_a_choice(tmp_path, changes, promised):
    assert started(tmp_path, **changes)[1:] == promised
