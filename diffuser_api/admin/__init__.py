"""The admin: the editors' and operators' pages, one module for each page."""

from django.contrib import admin

from diffuser_api.access.log_in import LogInForm, limited
from diffuser_api.admin import (  # noqa: F401  registers their models
    actions,
    clients,
    jobs,
    loras,
    places,
    postcards,
)

admin.site.login_form, admin.site.login = LogInForm, limited(admin.site.login)
