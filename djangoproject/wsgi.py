"""The WSGI entry point, for `manage.py web` or any other WSGI server."""

import os

from django.core.wsgi import get_wsgi_application

from diffuser_api.access import charsets

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "djangoproject.settings")
application = charsets.checked(get_wsgi_application())
