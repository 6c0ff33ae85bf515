"""``manage.py worker``, simulated."""

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "djangoproject.settings")

import django

django.setup()

from django.core.management import execute_from_command_line  # noqa: E402

from benchmarks.harness.simulated import steps  # noqa: E402

if __name__ == "__main__":
    steps.replace()
    execute_from_command_line(["manage.py", "worker", *sys.argv[1:]])
