"""What comes after a picture was asked for, with the keyboard alone, and in a browser without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from benchmarks.harness.browsing import accessible, go_to, submit, visit

SECONDS = 600  # for what takes long on a busy machine
LANGUAGES = pytest.mark.parametrize(("language", "width"), [("en", 1280), ("it", 360)])
ITALIAN = {
    "Try it with five example photos": "Prova con cinque foto d'esempio",
    "Make a postcard": "Crea una cartolina",
    "Paint my postcard": "Dipingi la mia cartolina",
    "Print it as a postcard": "Stampala come cartolina",
    "Show what I have written": "Mostra quello che ho scritto",
    "PDF, both sides": "PDF, fronte e retro",
    "Back to the picture": "Torna all'immagine",
    "Share it no longer": "Non condividerla più",
    "Make a link": "Crea un link",
    "The link is copied.": "Il link è copiato.",
    "Keep it": "Salvala",
    "Yes, erase everything": "Sì, cancella tutto",
    "Erased": "Cancellati",
    "keeps nothing of yours": "non conserva niente di tuo",
    "Forget me": "Dimenticami",
}


def words_in(language: str):
    """What a text of the studio is in this language."""
    return (lambda text: text) if language == "en" else ITALIAN.__getitem__


@pytest.fixture(scope="module", autouse=True)
def quick():
    """What is tested is the way, not the likeness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINING_STEPS", "8")
        patch.setenv("DENOISING_STEPS", "3")
        yield


@LANGUAGES
def test_one_of_three_is_chosen_and_shared_with_the_keyboard_alone(
    language, width, server_and_worker, browser
):
    says, look = words_in(language), {"language": language, "width": width}
    with visit(browser, server_and_worker.url, reduced_motion="reduce", **look) as guest:
        page = guest.page
        guest.context.grant_permissions(["clipboard-read", "clipboard-write"])

        def press(selector: str) -> None:
            go_to(page, selector)
            page.keyboard.press("Enter")

        page.goto("/postcard/")
        press("[name=candidates]")
        page.wait_for_url("**/candidates/**")
        go_to(page, "[id^=cancel-]")
        code = page.evaluate("document.activeElement.id").partition("-")[2]
        page.wait_for_selector(f"#keep-{code}", timeout=SECONDS * 1000)
        accessible(page, "one is finished")
        press(f"a[href='/jobs/{code}/']")  # a closer look, and back
        page.wait_for_url(f"**/jobs/{code}/")
        press("a[href^='/candidates/']")
        page.wait_for_url("**/candidates/**")
        press(f"#keep-{code}")
        page.wait_for_url(f"**/jobs/{code}/")
        page.goto("/pictures/")
        expect(page.locator(".gallery li")).to_have_count(1)  # the two others are gone
        press(f".gallery a[href='/jobs/{code}/']")
        page.wait_for_url(f"**/jobs/{code}/")

        go_to(page, "#days")
        page.keyboard.press("ArrowUp")  # fewer days
        days = page.input_value("#days")
        assert days != "7"
        press(".share button:not(.with-js)")
        page.wait_for_selector("#link")
        link = page.input_value("#link")
        press("#share")
        page.wait_for_selector(f"#said:has-text('{says('The link is copied.')}')", state="attached")
        assert page.evaluate("navigator.clipboard.readText()") == link
        press(".share summary")
        expect(page.locator(".qr")).to_be_visible()
        with visit(browser, server_and_worker.url, **look) as friend:
            friend.page.goto(link)
            go_to(friend.page, "a[download]")
            with friend.page.expect_download() as download:
                friend.page.keyboard.press("Enter")
            assert download.value.path().read_bytes().startswith(b"\x89PNG")
            assert friend.page.goto(link).status == 200
            press(".share [name=days][value='0']")
            page.wait_for_selector("#days")
            assert friend.page.goto(link).status == 404
        press(".erase summary")
        press(".erase .danger")
        page.wait_for_url("**/pictures/")
        expect(page.locator(".gallery li")).to_have_count(0)


@LANGUAGES
def test_card_share_and_erase_without_javascript(language, width, server_and_worker, browser):
    says = words_in(language)
    look = {"language": language, "width": width, "java_script_enabled": False}
    with visit(browser, server_and_worker.url, **look) as guest:
        page = guest.page
        page.goto("/")
        page.get_by_role("button", name=says("Try it with five example photos")).click()
        page.wait_for_selector(".job.succeeded", timeout=SECONDS * 1000)  # the page loads itself anew
        page.get_by_role("link", name=says("Make a postcard")).click()
        page.get_by_role("button", name=says("Paint my postcard")).click()
        page.wait_for_selector(".job.succeeded", timeout=SECONDS * 1000)
        picture = page.url

        page.get_by_role("link", name=says("Print it as a postcard")).click()
        page.fill("#greeting", "Saluti!")
        page.fill("#message", "你好")
        submit(page, says("Show what I have written"))
        expect(page.locator("#problems")).to_contain_text("你好", use_inner_text=True)
        assert page.input_value("#greeting") == "Saluti!"  # nothing that was typed is lost
        page.fill("#message", "Cara nonna,\n\nil mare è caldo, e il sole splende.\n\nA domenica!\n\nAnna")
        assert page.locator("#message").evaluate("field => field.scrollHeight <= field.clientHeight")
        boxes = [box.bounding_box() for box in page.locator(".ticks input").all()]
        assert len({(box["width"], box["height"]) for box in boxes}) == 1  # a long label narrows none
        shown = page.locator(".printed")
        submit(page, says("Show what I have written"))
        expect(shown).to_have_count(2)
        assert all(side.is_visible() for side in shown.all())
        page.locator("[name=orientation][value=portrait]").check()
        submit(page, says("Show what I have written"))
        front = shown.first.bounding_box()
        assert front["height"] > front["width"]
        with page.expect_download() as download:
            page.get_by_role("button", name=says("PDF, both sides")).click()
        assert download.value.path().read_bytes().startswith(b"%PDF")
        page.get_by_role("link", name=says("Back to the picture")).click()

        # The card's QR code leads to the picture, so it is shared now.
        page.wait_for_selector("#link")
        submit(page, says("Share it no longer"))
        expect(page.locator("#link")).to_have_count(0)
        expect(page.locator("#share")).to_be_hidden()
        page.select_option("#days", "1")
        submit(page, says("Make a link"))
        link = page.input_value("#link")
        page.locator(".share summary").click()
        expect(page.locator(".qr")).to_be_visible()
        expect(page.locator("#share")).to_be_hidden()
        with visit(browser, server_and_worker.url, **look) as friend:
            assert friend.page.goto(link).status == 200
            with friend.page.expect_download():
                friend.page.get_by_role("link", name=says("Keep it")).click()

            page.goto("/you/")
            page.locator(".erase summary").click()
            submit(page, says("Yes, erase everything"))
            expect(page.locator(".told")).to_contain_text(says("Erased"), use_inner_text=True)
            assert page.goto(picture).status == 404
            assert friend.page.goto(link).status == 404
        page.goto("/leave/")
        expect(page.locator("main")).to_contain_text(says("keeps nothing of yours"), use_inner_text=True)
        submit(page, says("Forget me"))
        assert re.search(r"/leave/\?forgotten$", page.url)
