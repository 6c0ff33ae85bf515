"""For ``celery -A djangoproject``, which looks here for ``app``. Nothing else imports this module."""

import os

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "djangoproject.settings")
if not settings.CELERY_BROKER_URL:
    raise ImproperlyConfigured("Celery needs CELERY_BROKER_URL. Without a broker, start manage.py worker.")
django.setup()

from diffuser_api.jobs.celery_worker import app  # noqa: E402, F401 (it reads the settings)
