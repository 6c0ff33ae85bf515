"""Every URL of the site; those of the API are in diffuser_api/urls.py."""

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "Cartolina"

handler500 = "diffuser_api.disk.server_error"
urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("diffuser_api.urls")),
]
