"""The visitors' pages."""

from django.urls import path

from studio.views import card, choosing, files, home, job, postcard, share, verify, you

app_name = "studio"
urlpatterns = [
    path("", home.home, name="home"),
    path("pictures/", home.gallery, name="gallery"),
    path("leave/", home.leave, name="leave"),
    path("verify/", verify.page, name="verify"),
    path("you/", you.photos, name="you"),
    path("you/check/", you.check, name="check"),
    path("you/compare/", you.compare, name="compare"),
    path("you/examples/", you.examples, name="examples"),
    path("you/code/", you.enter_code, name="code"),
    path("you/<str:code>/erase/", you.erase, name="erase"),
    path("postcard/", postcard.postcard, name="postcard"),
    path("postcard/figure/", postcard.figure_in_words, name="figure-in-words"),
    path("figures/<int:pk>.png", files.figure, name="figure"),
    path("figures/<int:pk>/card.png", files.figure, {"cropped": True}, name="figure-card"),
    path("jobs/<str:code>/", job.job, name="job"),
    path("jobs/<str:code>/cancel/", job.cancel, name="cancel"),
    path("jobs/<str:code>/again/", choosing.again, name="again"),
    path("jobs/<str:code>/face/", choosing.face, name="face"),
    path("jobs/<str:code>/keep/", choosing.keep, name="keep"),
    path("candidates/<str:group>/", choosing.candidates, name="candidates"),
    path("jobs/<str:code>/delete/", job.delete, name="delete"),
    path("jobs/<str:code>/postcard/", card.card, name="card"),
    path("jobs/<str:code>/share/", share.begin, name="share"),
    path("p/<str:token>/", share.page, name="shared"),
    path("p/<str:token>/report/", share.report, name="report"),
    path("p/<str:token>/picture.png", share.picture, name="shared-picture"),
    path("p/<str:token>/small.jpg", share.small, name="shared-small"),
    path("jobs/<str:code>/steps/<int:index>.png", files.step, name="step"),
    path("jobs/<str:code>/preview.png", files.preview, name="preview"),
    path("jobs/<str:code>/samples/<str:name>", files.sample, name="sample"),
    path("jobs/<str:code>/picture.png", files.picture, name="picture"),
    path("jobs/<str:code>/small.jpg", files.small, name="small"),
    path("jobs/<str:code>/place.jpg", files.place, name="place"),
]
