"""The API's URLs and the pictures'."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from diffuser_api import views
from diffuser_api.docs_page import ApiDocs

urlpatterns = [
    path("api/lora-training/", views.LoraTraining.as_view(), name="lora-training"),
    path(
        "api/lora-training/<str:code>/complete/", views.TrainingComplete.as_view(), name="training-complete"
    ),
    path("api/photos/check/", views.PhotoCheck.as_view(), name="photo-check"),
    path("api/generate-image/", views.GenerateImage.as_view(), name="generate-image"),
    path("api/jobs/<str:code>/", views.JobDetail.as_view(), name="job"),
    path("api/jobs/<str:code>/cancel/", views.JobCancel.as_view(), name="job-cancel"),
    path("api/loras/<str:code>/", views.LoraDetail.as_view(), name="lora"),
    path("api/pois/", views.PoiList.as_view(), name="pois"),
    path("api/actions/", views.ActionList.as_view(), name="actions"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", ApiDocs.as_view(), name="docs"),
    re_path(r"^data/outputs/(?P<code>\d{8})(?:\.png)?$", views.output, name="output-png"),
    path("data/outputs/<code>", views.output, name="output"),
    path("data/thumbnails/pois/<int:pk>/<field>", views.poi_thumbnail, name="poi-thumbnail"),
    path("data/thumbnails/actions/<int:pk>/<field>", views.action_thumbnail, name="action-thumbnail"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics_page, name="metrics"),
]
