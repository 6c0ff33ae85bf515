"""The API's URLs and the pictures'."""

from django.urls import path, re_path

from diffuser_api.api import errors
from diffuser_api.api.docs_page import ApiDocs
from diffuser_api.api.schema import SchemaView
from diffuser_api.api.views import (
    catalogue,
    choosing,
    generation,
    jobs,
    outputs,
    photos,
    postcards,
    training,
    verify,
)
from diffuser_api.operations import views as operations

urlpatterns = [
    path("api/lora-training/", training.LoraTraining.as_view(), name="lora-training"),
    path(
        "api/lora-training/<str:code>/complete/",
        training.TrainingComplete.as_view(),
        name="training-complete",
    ),
    path("api/consent/", training.ConsentText.as_view(), name="consent"),
    path("api/verify/", verify.Verify.as_view(), name="verify"),
    path("api/photos/check/", photos.PhotoCheck.as_view(), name="photo-check"),
    path("api/generate-image/", generation.GenerateImage.as_view(), name="generate-image"),
    path("api/jobs/", jobs.JobList.as_view(), name="jobs"),
    path("api/loras/", training.LoraList.as_view(), name="loras"),
    path("api/jobs/<str:code>/", jobs.JobDetail.as_view(), name="job"),
    path("api/jobs/<str:code>/cancel/", jobs.JobCancel.as_view(), name="job-cancel"),
    path("api/jobs/<str:code>/keep/", choosing.Keep.as_view(), name="job-keep"),
    path("api/jobs/<str:code>/face/", choosing.FaceAgain.as_view(), name="job-face"),
    path("api/jobs/<str:code>/postcard/", postcards.Postcard.as_view(), name="job-postcard"),
    path("api/loras/<str:code>/", training.LoraDetail.as_view(), name="lora"),
    path("api/pois/", catalogue.PoiList.as_view(), name="pois"),
    path("api/actions/", catalogue.ActionList.as_view(), name="actions"),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", ApiDocs.as_view(), name="docs"),
    re_path(r"^api/(?P<path>.*)$", errors.no_such_call, name="no-such-call"),
    re_path(r"^data/outputs/(?P<code>\d{8})(?:\.png)?$", outputs.output, name="output-png"),
    path("data/outputs/<code>", outputs.output, name="output"),
    path("data/thumbnails/pois/<int:pk>/<field>", catalogue.poi_thumbnail, name="poi-thumbnail"),
    path("data/thumbnails/actions/<int:pk>/<field>", catalogue.action_thumbnail, name="action-thumbnail"),
    path("healthz", operations.healthz, name="healthz"),
    path("readyz", operations.readyz, name="readyz"),
    path("metrics", operations.metrics_page, name="metrics"),
]
