"""The admin: the editors' and operators' pages, one module for each page."""

from django.contrib import admin
from django.views.i18n import JavaScriptCatalog

from diffuser_api.access.log_in import LogInForm, limited
from diffuser_api.admin import (  # noqa: F401  registers their models
    accounts,
    actions,
    clients,
    jobs,
    loras,
    places,
    postcards,
    publishing,
)

# The pages' scripts: Django's and ours.
admin.site.i18n_javascript = JavaScriptCatalog.as_view(packages=["django.contrib.admin", "diffuser_api"])
admin.site.login_form, admin.site.login = LogInForm, limited(admin.site.login)
