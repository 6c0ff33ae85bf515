"""The studio as visitors use it: a real browser, server, worker and the miniature. Nothing is replaced."""

from __future__ import annotations

import io
import re
import time

import pytest
import zxingcpp
from PIL import Image, ImageEnhance
from playwright.sync_api import expect

from benchmarks.harness.browsing import accessible, go_to, submit, visit
from benchmarks.harness.catalogue import make_photos
from diffuser_api.photos.pictures import as_png
from diffuser_api.postcards import printing
from generation.miniature import demo_content

SECONDS = 300  # for what takes long on a busy machine
WORDS = {
    "en": {
        "begin": "Begin with five photos",
        "examples": "Try it with five example photos",
        "learn": "Learn my face",
        "make": "Make a postcard",
        "paint": "Paint my postcard",
        "keep": "Keep it",
        "link": "Make a link",
        "print": "Print it as a postcard",
        "again": "The same, painted anew",
        "face": "The face again",
        "three": "Paint three of it",
        "this": "Keep this one",
        "like": "the photos",
        "cancel": "Cancel",
        "cancelled": "Cancelled.",
        "ready": "Your picture is ready.",
        "jumping": "jumping",
        "arrived": "five photos; 2 arrived",
        "show": "Show what I have chosen",
        "hello": "waving hello",
        "waving": "waving",
        "candidates": "Paint three",
    },
    "it": {
        "begin": "Comincia con cinque foto",
        "examples": "Prova con cinque foto d'esempio",
        "learn": "Impara il mio volto",
        "make": "Crea una cartolina",
        "paint": "Dipingi la mia cartolina",
        "keep": "Salvala",
        "link": "Crea un link",
        "print": "Stampala come cartolina",
        "again": "La stessa, dipinta di nuovo",
        "face": "Di nuovo il volto",
        "three": "Dipingila tre volte",
        "this": "Tieni questa",
        "like": "volto",
        "cancel": "Annulla",
        "cancelled": "Annullato.",
        "ready": "La tua immagine è pronta.",
        "jumping": "saltare",
        "arrived": "cinque foto; ne sono arrivate 2",
        "show": "Mostra quello che ho scelto",
        "hello": "fare ciao con la mano",
        "waving": "fare ciao",
        "candidates": "Dipingine tre",
    },
}
LANGUAGES = pytest.mark.parametrize(("language", "width"), [("en", 1280), ("it", 360)])


@pytest.fixture(scope="module", autouse=True)
def short_training():
    """What is tested is the way, not the likeness; and one browser asks more than one visitor would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINING_STEPS", "8")
        patch.setenv("FACE_CANDIDATES", "1")
        patch.setenv("ADDRESS_RATE", "0/minute")
        yield


@pytest.fixture(scope="module")
def files():
    """Five photos of one drawn person, as the browser uploads them."""
    return [
        {"name": f"photo {n}.png", "mimeType": "image/png", "buffer": photo}
        for n, photo in enumerate(make_photos(), start=1)
    ]


def code_of(page) -> str:
    return re.search(r"/jobs/(\d{8})/", page.url)[1]


def ask_for_a_picture(page, words="Paint my postcard") -> str:
    page.get_by_role("button", name=words).click()
    page.wait_for_url("**/jobs/**")
    return code_of(page)


def until_done(page) -> None:
    page.wait_for_selector(".job.succeeded", timeout=SECONDS * 1000)


def watch_the_steps(page, folder) -> tuple[float, dict[int, float], dict[int, float]]:
    """When something painted was seen first, and when each step's picture was on the disk and in the page, by
    the step's number."""
    first = 0.0
    made, shown, end = {}, {}, time.time() + SECONDS
    while not page.locator(".job.succeeded").count():
        assert time.time() < end and not page.locator(".job.failed").count()
        for path in folder.glob("[1-5]-*.png"):
            try:
                made.setdefault(int(path.name[0]), path.stat().st_mtime)
            except FileNotFoundError:  # the job has ended
                break
        for number in page.eval_on_selector_all(
            ".steps .done img",
            "all => all.filter(i => i.complete && i.naturalWidth).map(i => +i.src.match(/(\\d+).png/)[1])",
        ):
            shown.setdefault(number, time.time())
        if not first and (shown or page.locator("img.preview").count()):
            first = time.time()
        time.sleep(0.03)
    return first, made, shown


def consent(page) -> None:
    for box in page.locator(".consent input").all():
        box.check()


def send_five(page, files, says) -> None:
    page.get_by_role("link", name=says["begin"]).click()
    accessible(page, "you")
    page.set_input_files("#images", files[:3])
    page.set_input_files("#camera", files[3])
    page.wait_for_selector(".tiles .good:nth-child(4)", timeout=SECONDS * 1000)
    consent(page)
    page.get_by_role("button", name=says["learn"]).click()
    expect(page.locator("#reasons li")).to_contain_text("1", use_inner_text=True)  # one is missing
    page.set_input_files("#images", files[4])
    page.wait_for_selector(".tiles .good:nth-child(5)", timeout=SECONDS * 1000)
    accessible(page, "five good photos")
    page.get_by_role("button", name=says["learn"]).click()


@pytest.mark.parametrize(("language", "width", "photos"), [("en", 1280, "own"), ("it", 360, "examples")])
def test_from_five_photos_to_the_printed_card(
    language, width, photos, server_and_worker, browser, files, tmp_path
):
    says = WORDS[language]
    with visit(browser, server_and_worker.url, width=width, language=language) as guest:
        page = guest.page
        page.goto("/")
        accessible(page, "welcome")
        if photos == "own":
            send_five(page, files, says)
        else:
            page.get_by_role("button", name=says["examples"]).click()
        page.wait_for_url("**/jobs/**")
        accessible(page, "training")
        until_done(page)
        accessible(page, "trained")
        assert re.fullmatch(r"\d{4} \d{4} [A-Z2-7]{4} [A-Z2-7]{4}", page.locator(".code.large").inner_text())

        page.get_by_role("link", name=says["make"]).click()
        page.wait_for_load_state("networkidle")
        page.locator("[name=place]").nth(3).check()
        chosen = page.locator("[name=place]").nth(3).locator("xpath=..//img").get_attribute("src")
        assert page.locator(".stage .place").get_attribute("src") == chosen
        page.locator("[name=shot][value=CLS]").check()
        page.locator("[name=action][value=waving]").check()
        before = page.locator(".stage .figure").get_attribute("src")
        accessible(page, "postcard")
        page.locator("[name=how][value=words]").check()
        page.locator("#words").press_sequentially("jumping for joy", delay=20)
        page.wait_for_selector(f"#picked b:has-text('{says['jumping']}')")
        assert page.locator(".stage .figure").get_attribute("src") not in (None, before)
        accessible(page, "postcard in words")
        code = ask_for_a_picture(page, says["paint"])
        asked = time.time()
        page.wait_for_selector(".easel img")
        first, made, shown = watch_the_steps(page, server_and_worker.folder / "tmp_data" / code)
        whole = time.time() - asked
        waited = {number: round(shown[number] - made[number], 2) for number in shown if number in made}
        began = float(server_and_worker.manage("shell", "-c", STARTED.format(code=code)).split()[-1])
        print(f"{language} {width}: whole {whole:.1f} s, first look {first - began:.1f} s, steps {waited}")
        # On two cores for this alone the aims are 3 s and 1 s. Beside other tests and on slower machines all
        # of it takes longer, so the order is asserted: something is seen before there is a third picture.
        assert len(waited) >= 3 and first < made[3], (first - began, made[3] - began)
        assert sorted(waited.values())[len(waited) // 2] < whole / 5, waited
        assert page.locator("#said").text_content() == says["ready"]
        accessible(page, "finished")
        page.locator("#slider").fill("40")
        assert "60%" in page.locator(".compare .after").evaluate("i => getComputedStyle(i).clipPath")

        with page.expect_download() as download:
            page.get_by_role("link", name=says["keep"]).click()
        kept = tmp_path / download.value.suggested_filename
        download.value.save_as(kept)
        assert kept.name == f"cartolina-{code}.png"
        assert Image.open(kept).size == (512, 512)  # the place's size, not that of the models
        page.get_by_role("button", name=says["link"]).click()
        link = page.locator("#link").input_value()
        page.locator(".share summary").click()
        page.locator(".qr").evaluate("image => image.decode()")  # else it may not be painted yet
        code_shown = Image.open(io.BytesIO(page.locator(".qr").screenshot()))
        assert [found.text for found in zxingcpp.read_barcodes(code_shown)] == [link]
        accessible(page, "shared")
        with visit(browser, server_and_worker.url) as friend:  # knows no cookie of ours
            friend.page.goto(link)
            accessible(friend.page, "a friend's page")
            with friend.page.expect_download() as download:
                friend.page.locator("a[download]").click()
            assert download.value.path().read_bytes() == kept.read_bytes()
            assert friend.context.request.get(f"/jobs/{code}/").status == 404

        page.get_by_role("link", name=says["print"]).click()
        accessible(page, "a postcard to print")
        before = page.locator(".printed").first.get_attribute("src")
        page.locator("#greeting").press_sequentially("Saluti!", delay=20)
        page.wait_for_function("old => document.querySelector('.printed').src !== old", arg=before)
        page.fill("#message", "你好")
        page.wait_for_selector("#problems:has-text('你好')")
        accessible(page, "a postcard that can't be printed")
        page.fill("#message", "Cara nonna")
        page.wait_for_selector(".printed")
        with page.expect_download() as download:
            page.locator("[name=file][value=pdf]").click()
        download.value.save_as(tmp_path / "card.pdf")
        assert [printing.as_picture((tmp_path / "card.pdf").read_bytes(), side) for side in printing.SIDES]
        page.goto(f"/jobs/{code}/")

        page.get_by_role("button", name=says["again"]).click()
        page.wait_for_url(lambda url: code not in url)
        page.get_by_role("button", name=says["cancel"]).click()
        page.wait_for_selector(f".state:has-text('{says['cancelled']}')")
        accessible(page, "cancelled")
        page.goto(f"/jobs/{code}/")
        expect(page.locator(".likeness")).to_contain_text(says["like"], use_inner_text=True)
        page.get_by_role("button", name=says["face"]).click()
        page.wait_for_url(lambda url: code not in url)
        until_done(page)
        page.get_by_role("button", name=says["three"]).click()
        page.wait_for_url("**/candidates/**")
        expect(page.locator(".candidates li")).to_have_count(3)
        accessible(page, "three to choose from")
        page.wait_for_selector("[id^=keep-]", timeout=SECONDS * 1000)
        accessible(page, "one to keep")
        page.get_by_role("button", name=says["this"]).first.click()
        page.wait_for_url("**/jobs/**")
        page.goto("/pictures/")
        expect(page.locator(".gallery li")).to_have_count(4)
        accessible(page, "gallery")
        page.goto("/you/")
        page.locator(".erase summary").click()
        accessible(page, "you with a face")
        page.locator(".erase .danger").click()
        page.wait_for_selector(".told")
        page.goto("/pictures/")
        expect(page.locator(".gallery li")).to_have_count(0)


def test_photos_that_cannot_be_taken_are_marked_with_the_reason(server_and_worker, browser, files):
    dark = as_png(ImageEnhance.Brightness(Image.open(io.BytesIO(files[0]["buffer"]))).enhance(0.06))
    [place] = demo_content.places()[:1]
    with visit(browser, server_and_worker.url) as guest:
        page = guest.page
        page.goto("/you/")
        nobody = {
            "name": "<b>nobody</b>.png",
            "mimeType": "image/png",
            "buffer": as_png(place.images[0].picture),
        }
        page.set_input_files("#images", [{**files[0], "buffer": dark}, nobody, files[1], files[1], files[2]])
        page.wait_for_selector(".tiles li:nth-child(5).good", timeout=SECONDS * 1000)
        expect(page.locator(".tiles .bad")).to_have_count(3)
        told = page.locator(".tiles li").first.inner_text()  # what can't be seen is compared with nothing
        assert "dark" in told and "another person" not in told, told
        expect(page.locator(".tiles li").nth(1)).to_contain_text("No face", use_inner_text=True)
        expect(page.locator(".tiles li").nth(3)).to_contain_text(
            "the same picture as photo 3", use_inner_text=True
        )
        accessible(page, "refused photos")
        for _ in range(2):
            page.locator(".tiles .bad button").first.click()
        page.wait_for_selector(".tiles .bad:has-text('as photo 1')")  # they have other numbers now
        page.set_input_files("#images", [files[3], files[4]])
        page.wait_for_selector(".tiles li:nth-child(5).good", timeout=SECONDS * 1000)
        consent(page)
        page.get_by_role("button", name="Learn my face").click()
        page.wait_for_selector("#reasons [data-index]", timeout=SECONDS * 1000)
        expect(page.locator(".tiles .bad")).to_contain_text("the same picture", use_inner_text=True)
        accessible(page, "refused by the server")
        page.locator(".tiles button").first.click()  # the copy alone is left
        page.wait_for_selector(".tiles li:nth-child(4)")
        page.wait_for_selector(".tiles:not(:has(.bad))")


@LANGUAGES
def test_a_picture_is_made_with_the_keyboard_alone(language, width, server_and_worker, browser, files):
    look = {"language": language, "width": width, "reduced_motion": "reduce"}
    with visit(browser, server_and_worker.url, **look) as guest:
        page, choosers = guest.page, []
        page.on("filechooser", lambda chooser: choosers.append(chooser))
        page.goto("/")

        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        go_to(page, ".hero a.button")
        page.keyboard.press("Enter")
        page.wait_for_url("**/you/")
        go_to(page, "#images")
        page.keyboard.press("Space")
        while not choosers:
            page.wait_for_timeout(50)
        choosers[0].set_files(files)
        page.wait_for_selector(".tiles .good:nth-child(5)", timeout=SECONDS * 1000)
        for name in ("consent_version", "consent_person"):
            go_to(page, f"[name={name}]")
            page.keyboard.press("Space")
        go_to(page, "button[type=submit]:not(.languages *)")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/**")
        go_to(page, "#cancel")
        page.wait_for_timeout(1500)
        assert page.evaluate("document.activeElement.id") == "cancel"  # news leave the focus where it is
        page.keyboard.press("Enter")
        page.wait_for_selector(".job.cancelled")

        page.goto("/postcard/")
        go_to(page, "[name=place]:checked")
        page.keyboard.press("ArrowRight")
        expect(page.locator("[name=place]").nth(1)).to_be_checked()
        go_to(page, "[name=action]:checked")
        page.keyboard.press("ArrowRight")
        go_to(page, ".ask .button")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/**")
        assert page.evaluate("document.getAnimations().length") == 0  # reduced motion
        until_done(page)
        go_to(page, "a.button[href$='/postcard/']")
        page.keyboard.press("Enter")
        page.wait_for_url("**/postcard/")
        go_to(page, "#message")
        page.keyboard.type("Cara nonna")
        go_to(page, "[name=file][value=pdf]")
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.path().read_bytes().startswith(b"%PDF")
        page.goto("/leave/")
        go_to(page, "[name=erase]")
        page.keyboard.press("Enter")
        page.wait_for_url("**/leave/?erased")


@LANGUAGES
def test_a_picture_is_made_without_javascript(language, width, server_and_worker, browser, files):
    says = WORDS[language]
    look = {"language": language, "width": width, "java_script_enabled": False}
    with visit(browser, server_and_worker.url, **look) as guest:
        page = guest.page
        page.goto("/you/")
        page.set_input_files("#images", files[:2])
        consent(page)
        submit(page, says["learn"])
        expect(page.locator("#reasons")).to_contain_text(says["arrived"], use_inner_text=True)
        page.set_input_files("#images", files)
        consent(page)
        submit(page, says["learn"])
        page.wait_for_selector(".state")
        submit(page, says["cancel"])
        page.wait_for_selector(".job.cancelled")

        page.goto("/postcard/")
        page.locator("[name=place]").nth(5).check()
        page.locator("[name=how][value=words]").check()
        page.fill("#words", says["hello"])
        submit(page, says["show"])
        expect(page.locator("[name=place]").nth(5)).to_be_checked()
        assert page.locator("#picked b").inner_text() == says["waving"]
        expect(page.locator(".stage .figure")).to_be_visible()
        ask_for_a_picture(page, says["paint"])
        until_done(page)  # the page loads itself anew
        expect(page.locator(".before")).to_be_visible()
        expect(page.locator(".after")).to_be_visible()
        expect(page.locator("#slider")).to_be_hidden()
        with page.expect_download():
            page.get_by_role("link", name=says["keep"]).click()

        page.goto("/postcard/")
        submit(page, says["candidates"])
        page.wait_for_selector("[id^=keep-]", timeout=SECONDS * 1000)  # the page loads itself anew
        page.get_by_role("button", name=says["this"]).first.click()
        page.wait_for_selector(".job.succeeded")
        page.goto("/pictures/")
        expect(page.locator(".gallery li")).to_have_count(2)


def test_a_page_goes_on_when_the_server_was_gone_for_a_while(server_and_worker, browser):
    with visit(browser, server_and_worker.url) as guest:
        page = guest.page
        page.goto("/postcard/")
        ask_for_a_picture(page)
        server_and_worker.stop_web()
        page.wait_for_selector("#lost:not(:empty)")
        expect(page.locator("#lost")).to_contain_text("goes on by itself", use_inner_text=True)
        accessible(page, "the connection is lost")
        server_and_worker.start_again()
        until_done(page)
        assert page.locator("#lost").inner_text() == ""


def test_a_second_tab_cancels_and_erases_what_the_first_one_shows(server_and_worker, browser):
    with visit(browser, server_and_worker.url) as guest:
        first, second = guest.page, guest.context.new_page()
        first.goto("/postcard/")
        code = ask_for_a_picture(first)
        second.goto("/pictures/")
        second.locator(".gallery a").click()
        second.wait_for_url(f"**/jobs/{code}/")
        second.get_by_role("button", name="Cancel").click()
        first.wait_for_selector(".job.cancelled", timeout=SECONDS * 1000)
        second.goto("/postcard/")
        ask_for_a_picture(second)
        first.goto(second.url)
        guest.context.request.post(
            f"{second.url}delete/",
            form={"csrfmiddlewaretoken": csrf(first)},
            headers={"Referer": first.url},
        )
        for page in (first, second):
            page.reload()
            page.wait_for_selector("h1:has-text('Not here')")
        accessible(first, "no such page")


def csrf(page) -> str:
    return page.locator("[name=csrfmiddlewaretoken]").first.input_value()


STARTED = """
from diffuser_api.models import Job
print(Job.objects.get(code="{code}").started_at.timestamp())
"""
FAIL = """
from diffuser_api.models import Job
Job.objects.filter(code="{code}").update(status="failed", error_code="{error}", error_message="x")
"""


def test_a_failed_job_says_what_to_do(server_and_worker, browser):
    with visit(browser, server_and_worker.url) as guest:
        page = guest.page
        page.goto("/postcard/")
        code = ask_for_a_picture(page)
        until_done(page)
        server_and_worker.manage("shell", "-c", FAIL.format(code=code, error="unusable_files"))
        page.reload()
        expect(page.locator(".job.failed")).to_contain_text("Choose another one", use_inner_text=True)
        accessible(page, "failed")
        page.get_by_role("link", name="Change something").click()
        expect(page.locator("[name=gender][value=woman]")).to_be_checked()


def test_the_first_page_is_small(server_and_worker, browser):
    with visit(browser, server_and_worker.url) as guest:
        sizes = {}
        guest.context.on(
            "response",
            lambda answer: sizes.update({answer.url: (answer.request.resource_type, answer)}),
        )
        guest.page.goto("/", wait_until="networkidle")
        bytes_of = {
            url: len(answer.body())
            for url, (kind, answer) in sizes.items()
            if kind not in ("image", "other") and answer.ok
        }
        print("the first page without pictures:", sum(bytes_of.values()), "bytes in", len(bytes_of), "files")
        assert sum(bytes_of.values()) <= 150_000, bytes_of
        assert any(url.endswith("woff2") for url in bytes_of)
