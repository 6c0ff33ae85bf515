"""Every URL of the site: the API's are in diffuser_api/api/urls.py, the visitors' in studio/urls.py."""

from django.contrib import admin
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path
from django.views.i18n import set_language

admin.site.site_header = admin.site.site_title = "Cartolina"


def icon(request):
    return redirect(static("studio/stamp.svg"))


handler400 = "diffuser_api.api.errors.bad_request"
handler500 = "diffuser_api.api.errors.server_error"
urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("diffuser_api.api.urls")),
    path("", include("studio.urls")),
    path("language/", set_language, name="language"),
    # Pages that name no icon (the admin's, the API's) are asked for this one by every browser.
    path("favicon.ico", icon, name="favicon"),
]
