"""Django's processes never import torch: neither when they start nor when they answer."""

import os
import subprocess
import sys

from benchmarks.harness import ROOT


def test_manage_check_imports_no_torch():
    command = [sys.executable, "-X", "importtime", "manage.py", "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")
    }
    assert "django" in imported
    assert not {name for name in imported if name.split(".")[0] in ("torch", "diffusers", "transformers")}


def test_all_that_web_and_worker_use_imports_no_torch():
    code = """
import sys, django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
from diffuser_api import admin
from diffuser_api.management.commands import worker
from diffuser_api.jobs import status_changes, orders, runner, sweep
from generation import action_picker
for language in ("en", "it"):
    action_picker.pick("waving", [("waving", "waving with a hand")], language)
print(sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "diffusers", "transformers")))
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "djangoproject.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"
