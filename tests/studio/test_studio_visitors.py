"""The studio without a browser: whose things are whose, codes that are typed in, languages, markup."""

import html
import io
import re
from html.parser import HTMLParser

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client as Browser
from PIL import Image

import studio.urls
from benchmarks.harness.catalogue import make_catalogue, make_photos
from benchmarks.harness.clients import CONSENT, make_job, make_lora
from diffuser_api.jobs import folders, status_changes
from diffuser_api.models import Client, Job, LoraModel, Poi, PoiImage
from diffuser_api.photos import gate
from diffuser_api.photos.pictures import as_png
from generation.job_folder import picture_path
from studio import clothes, forms, visitors

MARKUP = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"


@pytest.fixture
def catalogue(db):
    """As everywhere, but rolled back at the end, which is quicker: no thread or process looks on here."""
    return make_catalogue()


@pytest.fixture(autouse=True)
def open_studio(settings):
    settings.STUDIO, settings.OPEN_API = True, False


def come(browser: Browser | None = None) -> tuple[Browser, Client, str]:
    """A browser that has been here, with its visitor's client and name."""
    browser = browser or Browser()
    assert browser.get("/").status_code == 200
    cookie = browser.cookies[visitors.COOKIE]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    return browser, Client.objects.get(name=visitors.CLIENT), cookie.value.partition(":")[0].split()[0]


def wish(catalogue, **changes) -> dict[str, str]:
    place = catalogue.images.first().pk
    asked = {"place": place, "action": "waving", "shot": "MES", "how": "figure", "age": "adult"}
    return asked | {"gender": "woman", "clothes": "a red coat", "words": "", "face": ""} | changes


def ask(browser, catalogue, **changes) -> Job:
    answer = browser.post("/postcard/", wish(catalogue, **changes))
    assert answer.status_code == 302, answer.content.decode()
    return Job.objects.get(code=answer["Location"].split("/")[-2])


def finish(job: Job, tmp_path) -> Job:
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "done.png")
    assert status_changes.finish_generation(status_changes.claim(job.code), tmp_path / "done.png")
    return Job.objects.get(pk=job.pk)


# --- whose it is --------------------------------------------------------------------------------------------


def test_a_visitor_sees_their_own_things_and_nobody_elses(catalogue, tmp_path):
    anna, client, _ = come()
    bruno, _, name = come()
    job = finish(ask(anna, catalogue), tmp_path)
    running = ask(anna, catalogue)
    folder = folders.generation_folder(running.code)
    folder.mkdir()
    picture_path(folder, 0).write_bytes(as_png(Image.new("RGB", (8, 8))))
    make_lora("30000001", client, name)
    own = [f"/jobs/{job.code}/{end}" for end in ("", "picture.png", "small.jpg", "place.jpg")]
    own += [f"/jobs/{running.code}/", f"/jobs/{running.code}/steps/0.png"]
    for path in own:
        answer = anna.get(path)
        assert answer.status_code == 200 and "no-store" in answer["Cache-Control"], path
        assert bruno.get(path).status_code == Browser().get(path).status_code == 404, path
    for end in ("cancel", "again", "face", "keep", "delete"):
        assert bruno.post(f"/jobs/{running.code}/{end}/").status_code == 404
    assert anna.post("/you/30000001/erase/").status_code == 404
    assert bruno.get(f"/postcard/?from={job.code}").status_code == 404
    assert job.code in anna.get("/pictures/").content.decode()
    assert job.code not in bruno.get("/pictures/").content.decode()
    assert Job.objects.count() == 2 and LoraModel.objects.count() == 1
    assert not Job.objects.get(code=running.code).is_finished


def test_every_page_but_the_catalogues_figures_needs_a_visitor():
    open_to_all = [
        url.name for url in studio.urls.urlpatterns if not hasattr(url.callback, "is_for_visitors")
    ]
    shared = ["shared", "report", "shared-picture", "shared-small"]  # their addresses are signed
    assert open_to_all == ["verify", "figure", "figure-card", *shared]


@pytest.mark.parametrize("value", ["anna", "anna:1:x", "", "a b c:1wW:AAAA"])
def test_a_forged_cookie_makes_a_new_visitor(value, catalogue):
    _, client, name = come()
    make_job(client, name)
    stranger = Browser()
    stranger.cookies[visitors.COOKIE] = value.replace("anna", name)
    assert "/jobs/" not in stranger.get("/pictures/").content.decode()
    assert stranger.cookies[visitors.COOKIE].value != value


def test_the_api_shows_nothing_of_the_studio(catalogue, settings):
    settings.OPEN_API = True
    anna, _, _ = come()
    job = ask(anna, catalogue)
    assert Browser().get(f"/api/jobs/{job.code}/").status_code == 404


def test_after_leaving_the_next_visitor_is_another(catalogue):
    anna, _, name = come()
    job = ask(anna, catalogue)
    left = anna.post("/leave/")
    assert left.status_code == 302 and left["Clear-Site-Data"] == '"cache"'
    assert anna.get(f"/jobs/{job.code}/").status_code == 404
    assert Job.objects.get(pk=job.pk).visitor == name


def test_forms_of_other_sites_are_refused(catalogue):
    careful = Browser(enforce_csrf_checks=True)
    careful.get("/")
    for path in ("/postcard/", "/you/", "/you/check/", "/you/code/", "/leave/", "/jobs/00000000/cancel/"):
        assert careful.post(path).status_code == 403, path


@pytest.mark.parametrize("switched_off", ["setting", "client"])
def test_a_closed_studio_has_a_first_page_and_no_other(switched_off, settings, db):
    if switched_off == "setting":
        settings.STUDIO = False
    else:
        Client.objects.create(name=visitors.CLIENT, is_active=False)
    assert "other sites" in Browser().get("/").content.decode()
    for path in ("/you/", "/postcard/", "/pictures/"):
        assert Browser().get(path).status_code == 404


def test_open_api_opens_it_to_this_host_alone(settings, db):
    settings.STUDIO, settings.OPEN_API = False, True
    assert Browser().get("/you/").status_code == 200
    assert Browser(REMOTE_ADDR="192.0.2.7").get("/you/").status_code == 404
    assert Browser(headers={"X-Forwarded-For": "192.0.2.7"}).get("/you/").status_code == 404


def test_a_body_that_is_too_large_is_refused_before_it_is_read(settings, db):
    settings.MAX_UPLOAD_MB = 1
    photo = SimpleUploadedFile("big.png", bytes(7 * 2**20))
    assert Browser().post("/you/", {"images": photo}).status_code == 413


def test_a_visitor_has_a_few_pictures_made_at_a_time(catalogue):
    anna, _, _ = come()
    for _ in range(forms.JOBS_AT_ONCE):
        last = ask(anna, catalogue)
    answer = anna.post("/postcard/", wish(catalogue))
    assert answer.status_code == 400 and "still being made" in answer.content.decode()
    again = anna.post(f"/jobs/{last.code}/again/")
    assert again.status_code == 409 and "still being made" in again.content.decode()
    assert Job.objects.count() == forms.JOBS_AT_ONCE
    anna.post(f"/jobs/{last.code}/cancel/")
    assert anna.post(f"/jobs/{last.code}/again/").status_code == 302
    assert Job.objects.count() == forms.JOBS_AT_ONCE + 1


# --- faces --------------------------------------------------------------------------------------------------


def test_a_code_with_its_letters_opens_the_face_elsewhere(catalogue):
    anna, client, name = come()
    make_lora("30000001", client, name)
    elsewhere, _, other = come()
    for typed in ("30000001", "30000001AAAAAAAA", "x", "", "30000002" + visitors.letters_of("30000001")):
        answer = elsewhere.post("/you/code/", {"code": typed})
        assert answer.status_code == 400 and "No face has this code" in answer.content.decode()
    typed = visitors.ticket_of("30000001").lower().replace(" ", "-")
    assert elsewhere.post("/you/code/", {"code": typed}).status_code == 302
    job = ask(elsewhere, catalogue, face="30000001")
    assert job.lora.code == "30000001" and job.visitor == other
    assert anna.get(f"/jobs/{job.code}/").status_code == 404
    assert elsewhere.post("/you/30000001/erase/").status_code == 302
    assert not LoraModel.objects.exists() and not Job.objects.exists()


def test_digits_alone_open_the_visitors_own_face_and_no_other_also_on_an_open_host(catalogue, settings):
    anna, client, name = come()
    make_lora("30000001", client, name)
    make_lora("30000002")
    assert anna.post("/you/code/", {"code": "3000 0001"}).status_code == 302
    for settings.OPEN_API in (False, True):
        assert anna.post("/you/code/", {"code": "30000002"}).status_code == 400
    assert anna.post("/you/code/", {"code": visitors.ticket_of("30000002")}).status_code == 302
    assert ask(anna, catalogue, face="30000002").lora.code == "30000002"


def test_another_visitors_face_is_not_used(catalogue):
    _, client, name = come()
    make_lora("30000001", client, name)
    bruno, _, _ = come()
    assert ask(bruno, catalogue, face="30000001").lora is None


def test_photos_sent_twice_are_one_training(catalogue, settings):
    settings.PHOTO_CHECKS = "off"
    anna, _, _ = come()

    def send():
        files = [SimpleUploadedFile(f"{k}.png", photo) for k, photo in enumerate(make_photos())]
        return anna.post("/you/", {"images": files, **CONSENT})

    assert send()["Location"] == send()["Location"]
    assert Job.objects.filter(kind=Job.Kind.TRAINING).count() == 1


def test_a_photo_is_judged_in_the_language_of_the_page(db):
    photo = SimpleUploadedFile("a.txt", b"no picture")
    answer = Browser().post("/you/check/", {"image": photo}, headers={"Accept-Language": "it"}).json()
    assert not answer["accepted"] and "Il file non è" in answer["findings"][0]["message"]


# --- asking -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"place": ""}, "Choose a place."),
        ({"place": "99999999999999999999"}, "Choose a place."),
        ({"place": "x"}, "Choose a place."),
        ({"action": "flying"}, "Choose what you do."),
        ({"how": "words", "words": ""}, "Say in a few words"),
        ({"how": "words", "words": "qzx vwk"}, "Say it otherwise"),
        ({"how": "words", "words": "x" * 301}, "too long"),
        ({"shot": "???"}, "Choose another distance"),
        ({"action": "sitting", "shot": "FUS"}, "Choose another distance"),
        ({"age": "12"}, "Choose an age."),
        ({"gender": ""}, "Choose one."),
        ({"clothes": "x" * 301}, "too long"),
        ({"clothes": "a\0b"}, "too long"),
        ({"face": "1" * 101}, "Choose a face."),
        ({"face": "1234\x005678"}, "Choose a face."),
    ],
)
def test_a_wrong_field_is_refused_with_a_sentence(changes, sentence, catalogue):
    answer = Browser().post("/postcard/", wish(catalogue, **changes))
    assert answer.status_code == 400 and sentence in html.unescape(answer.content.decode())
    assert not Job.objects.exists()


def test_words_choose_an_action(catalogue):
    anna, _, _ = come()
    said = anna.get("/postcard/figure/", {"words": "greeting somebody by waving", "shot": "MES"})
    assert "waving" in said.content.decode() and "data-figure" in said.content.decode()
    assert ask(anna, catalogue, how="words", words="waving at a friend").parameters["action"] == "waving"


def form_key_in(page) -> str:
    return re.search(r'name="form_key" value="([^"]+)"', page.content.decode())[1]


def test_a_second_tap_makes_no_second_picture(catalogue):
    browser, *_ = come()
    key = form_key_in(browser.get("/postcard/"))
    first, second = (ask(browser, catalogue, form_key=key) for _ in range(2))
    assert first == second and Job.objects.count() == 1
    assert ask(browser, catalogue, form_key=key, clothes="a blue coat") != first  # changed on a kept page
    assert ask(browser, catalogue, form_key=form_key_in(browser.get("/postcard/"))) != first


def test_a_second_tap_on_paint_anew_makes_no_second_picture(catalogue, tmp_path):
    browser, *_ = come()
    done = finish(ask(browser, catalogue), tmp_path)
    key = form_key_in(browser.get(f"/jobs/{done.code}/"))
    answers = [browser.post(f"/jobs/{done.code}/again/", {"form_key": key}) for _ in range(2)]
    assert answers[0]["Location"] == answers[1]["Location"] and Job.objects.count() == 2


def test_a_picture_whose_place_is_gone_isnt_offered_to_be_painted_anew(catalogue, tmp_path):
    browser, *_ = come()
    done = finish(ask(browser, catalogue), tmp_path)
    again = f'action="/jobs/{done.code}/again/"'
    assert again in browser.get(f"/jobs/{done.code}/").content.decode()
    Poi.objects.all().delete()
    page = html.unescape(browser.get(f"/jobs/{done.code}/").content.decode())
    assert again not in page and "The place or the figure isn't there any more" in page


def test_two_forms_of_photos_at_the_same_moment_make_one_training(catalogue, settings, monkeypatch):
    """The second form arrives while the photos of the first are looked at."""
    settings.PHOTO_CHECKS = "off"
    browser, *_ = come()
    look, answers = gate.clean_photos, []

    def send():
        uploads = [SimpleUploadedFile(f"{k}.png", photo) for k, photo in enumerate(make_photos())]
        return browser.post("/you/", {"images": uploads, **CONSENT})

    def looked_at(files, sender):
        monkeypatch.setattr(gate, "clean_photos", look)
        answers.append(send())
        return look(files, sender)

    monkeypatch.setattr(gate, "clean_photos", looked_at)
    answers.append(send())
    assert answers[0]["Location"] == answers[1]["Location"]
    assert Job.objects.filter(kind=Job.Kind.TRAINING).count() == 1


def test_a_picture_is_requested_again_or_changed(catalogue, tmp_path):
    anna, _, _ = come()
    first = finish(ask(anna, catalogue, clothes="a blue hat"), tmp_path)
    form = anna.get(f"/postcard/?from={first.code}").content.decode()
    assert 'value="a blue hat"' in form and 'value="waving" checked' in form
    anna.post(f"/jobs/{first.code}/again/")
    second = Job.objects.exclude(pk=first.pk).get()
    assert second.parameters == first.parameters and second.seed != first.seed


def test_clothes_chosen_in_any_language_are_english_in_the_prompt(catalogue, tmp_path):
    anna, _, _ = come()
    form = anna.get("/postcard/", headers={"Accept-Language": "it"}).content.decode()
    assert "cappotto" in form and "arancione" in form
    chosen = {"garment": "coat", "colour": "orange", "clothes": "a straw hat"}
    first = finish(ask(anna, catalogue, **chosen), tmp_path)
    assert first.parameters["other_details"] == "an orange coat, a straw hat"
    form = anna.get(f"/postcard/?from={first.code}").content.decode()
    for checked in ('name="garment" value="coat" checked', 'name="colour" value="orange" checked'):
        assert checked in form
    assert 'value="a straw hat"' in form


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (("", "", ""), ""),
        (("coat", "", ""), "a coat"),
        (("", "red", ""), "red clothes"),
        (("dress", "orange", ""), "an orange dress"),
        (("", "", "red"), "red"),
        (("t-shirt", "grey", "an old hat, and\nboots"), "a grey t-shirt, an old hat, and\nboots"),
        (("", "", "a coat of mine"), "a coat of mine"),
    ],
)
def test_a_phrase_of_clothes_gives_the_choices_back(chosen, said):
    assert clothes.phrase(*chosen) == said
    assert tuple(clothes.choices(said).values()) == chosen


def test_no_other_garment_or_colour_than_the_forms_comes_through():
    assert clothes.phrase("<b>", "x", "") == ""


def no_room(settings, monkeypatch) -> None:
    settings.MIN_FREE_MB = 2**40


def no_model(settings, monkeypatch) -> None:
    monkeypatch.setenv("DETAIL_MODEL", "/nowhere")


@pytest.mark.parametrize("take_away", [no_room, no_model])
def test_a_server_that_takes_no_job_says_why(take_away, catalogue, tmp_path, settings, monkeypatch):
    settings.PHOTO_CHECKS = "off"
    anna, _, _ = come()
    done = finish(ask(anna, catalogue), tmp_path)
    take_away(settings, monkeypatch)
    photos = [SimpleUploadedFile(f"{k}.png", photo) for k, photo in enumerate(make_photos())]
    for answer in (
        anna.post("/postcard/", wish(catalogue)),
        anna.post("/you/", {"images": photos, **CONSENT}),
    ):
        assert answer.status_code == 400 and "tell the staff" in answer.content.decode()
    again = anna.post(f"/jobs/{done.code}/again/")
    assert again.status_code == 409 and "tell the staff" in again.content.decode()
    assert Job.objects.count() == 1


def test_the_catalogue_may_lose_what_a_picture_was_made_of(catalogue, tmp_path):
    anna, _, _ = come()
    job = finish(ask(anna, catalogue), tmp_path)
    Poi.objects.all().delete()
    page = anna.get(f"/jobs/{job.code}/").content.decode()
    assert "slider" not in page and anna.get(f"/jobs/{job.code}/place.jpg").status_code == 404
    again = anna.post(f"/jobs/{job.code}/again/")
    assert again.status_code == 409 and "isn&#x27;t there any more" in again.content.decode()
    assert anna.get("/pictures/").status_code == anna.get("/postcard/").status_code == 200


@pytest.mark.parametrize("size", [(400, 260), (312, 208)], ids=["the place's", "the models'"])
def test_the_empty_place_has_the_size_of_what_it_is_compared_with(size, catalogue, tmp_path):
    anna, _, _ = come()
    job = ask(anna, catalogue)
    whole = Image.new("RGB", (400, 260), "white")
    whole.paste("red", (0, 0, 4, 260))  # on the canvas, this edge is cut off
    job.poi_image.image.save("wide.png", ContentFile(as_png(whole)))

    def shown() -> Image.Image:
        return Image.open(io.BytesIO(anna.get(f"/jobs/{job.code}/place.jpg").content))

    assert shown().size == (312, 208)  # as the steps' pictures
    (tmp_path / "done.png").write_bytes(as_png(Image.new("RGB", size)))
    assert status_changes.finish_generation(status_changes.claim(job.code), tmp_path / "done.png")
    assert shown().size == size
    red, green, _ = shown().getpixel((0, 100))
    assert (green < 100 < red) == (size == whole.size)


def test_a_poll_without_news_is_answered_with_204(catalogue):
    anna, _, _ = come()
    job = ask(anna, catalogue)
    page = anna.get(f"/jobs/{job.code}/").content.decode()
    again = re.search(r'hx-get="([^"]+)"', page)[1]
    assert anna.get(again, headers={"HX-Request": "true"}).status_code == 204
    assert status_changes.claim(job.code)
    changed = anna.get(again, headers={"HX-Request": "true"})
    assert changed.status_code == 200 and b"<html" not in changed.content


def test_an_open_page_says_that_its_picture_was_erased_in_another_tab(catalogue):
    anna, _, _ = come()
    job = ask(anna, catalogue)
    assert anna.post(f"/jobs/{job.code}/delete/").status_code == 302
    told = anna.get(f"/jobs/{job.code}/", headers={"HX-Request": "true"})
    assert told.status_code == 200 and "This has been erased." in told.content.decode()
    assert anna.get(f"/jobs/{job.code}/").status_code == 404


# --- markup and languages -----------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Fails on an element that no template of ours has."""

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        assert named.get("src") != "x" and not [name for name in named if name.startswith("on")], (tag, attrs)
        assert tag != "script" or named["src"].startswith("/static/")


def test_nothing_typed_or_uploaded_comes_back_as_markup(catalogue, settings):
    anna, _, _ = come()
    pages, job = [], ask(anna, catalogue, clothes=MARKUP)
    for field in forms.FIELDS:
        pages.append(anna.post("/postcard/", wish(catalogue, **{field: MARKUP})))
        pages.append(anna.post("/postcard/", wish(catalogue, how="words", preview="1") | {field: MARKUP}))
    files = [SimpleUploadedFile(f"{MARKUP}.png", b"x") for _ in range(5)]
    pages += [
        anna.get(f"/jobs/{job.code}/"),
        anna.get("/pictures/"),
        anna.get("/postcard/", {"from": job.code}),
        anna.get("/postcard/", {"face": MARKUP}),
        anna.get("/postcard/figure/", {"words": MARKUP, "shot": MARKUP}),
        anna.get("/pictures/", {"page": MARKUP}),
        anna.post("/you/code/", {"code": MARKUP}),
        anna.post("/you/", {"images": files, **CONSENT}),
        anna.post("/you/", {"images": files, **CONSENT}, headers={"HX-Request": "true"}),
        anna.get(f"/{MARKUP}"),
        anna.get("/you/", {"erased": MARKUP}),
    ]
    for page in pages:
        assert page["Content-Type"].startswith("text/html")
        Elements().feed(page.content.decode())
    assert any("&lt;img src=x" in page.content.decode() for page in pages)  # it does come back, as text
    check = anna.post("/you/check/", {"image": SimpleUploadedFile(f"{MARKUP}.png", b"x")})
    assert check["Content-Type"] == "application/json" and "<img" not in check.content.decode()


def test_the_language_is_chosen_by_the_browser_or_by_hand(catalogue):
    browser = Browser()
    assert 'lang="it"' in browser.get("/", headers={"Accept-Language": "it-IT,it"}).content.decode()[:60]
    assert 'lang="en"' in browser.get("/", headers={"Accept-Language": "fr"}).content.decode()[:60]
    assert browser.post("/language/", {"language": "it", "next": "/you/"})["Location"] == "/you/"
    assert "Cinque foto del tuo volto" in browser.get("/you/").content.decode()


def test_figures_are_drawn_for_every_shot(catalogue):
    from diffuser_api.models import ActionImage

    for shot in ActionImage.objects.all():
        for path in (f"/figures/{shot.pk}.png", f"/figures/{shot.pk}/card.png"):
            picture = Image.open(io.BytesIO(Browser().get(path).content))
            share = sum(picture.getchannel("A").histogram()[128:]) / (picture.width * picture.height)
            assert picture.mode == "RGBA" and 0.03 < share < 0.8


def test_words_that_had_no_room_are_named_beside_the_picture(catalogue, tmp_path):
    anna, _, _ = come()
    job = finish(ask(anna, catalogue), tmp_path)
    job.timings = [{"step": "pose", "left_out": {"other_details": "and a <blue> scarf"}}]
    job.save()
    page = anna.get(f"/jobs/{job.code}/").content.decode()
    assert "no room" in page and "and a &lt;blue&gt; scarf" in page
    other = finish(ask(anna, catalogue), tmp_path)
    assert "no room" not in anna.get(f"/jobs/{other.code}/").content.decode()


def test_a_form_of_an_old_page_is_told_what_to_do_in_the_visitors_language(catalogue):
    """From a tab that was open for too long, or without cookies; the library's page is in English alone."""
    browser = Browser(enforce_csrf_checks=True)
    browser.get("/you/")
    answer = browser.post("/you/code/", {"code": "1"}, headers={"Accept-Language": "it"})
    page = answer.content.decode()
    assert answer.status_code == 403 and "ricarica la pagina" in page and "CSRF" not in page
    assert "load the page anew" in browser.post("/admin/login/", {}).content.decode()


def test_a_new_card_begins_with_a_greeting_that_names_the_place(catalogue, tmp_path):
    browser, *_ = come()
    done = finish(ask(browser, catalogue), tmp_path)
    for language, greeting in (("en", "Greetings from Piazza"), ("it", "Saluti da Piazza")):
        page = browser.get(f"/jobs/{done.code}/postcard/", headers={"Accept-Language": language})
        assert f'value="{greeting}"' in page.content.decode()
        assert 'name="show_place" checked' not in page.content.decode()
    sent = browser.post(f"/jobs/{done.code}/postcard/", {"greeting": ""})
    assert 'name="greeting" value=""' in sent.content.decode()


def test_a_first_picture_begins_by_day_and_in_clothes_that_stand_out(db):
    call_command("load_demo", verbosity=0)
    browser, *_ = come()
    page = browser.get("/postcard/").content.decode()
    by_day = PoiImage.objects.get(poi__name="Cala Serena", name="beach at noon")
    for name, value in (("place", by_day.pk), ("garment", "t-shirt"), ("colour", "red")):
        assert re.search(rf'name="{name}" value="{value}"[^>]* checked', page), name
