"""What comes after a picture was asked for, with the keyboard alone, and in a browser without JavaScript."""

from __future__ import annotations

import re

import pytest

from benchmarks.harness.browsing import accessible, go_to, visit

SECONDS = 600  # for what takes long on a busy machine


@pytest.fixture(scope="module", autouse=True)
def quick():
    """What is tested is the way, not the likeness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINING_STEPS", "8")
        patch.setenv("DENOISING_STEPS", "3")
        yield


def test_one_of_three_is_chosen_and_shared_with_the_keyboard_alone(server_and_worker, browser):
    with visit(browser, server_and_worker.url, reduced_motion="reduce") as guest:
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
        assert page.locator(".gallery li").count() == 1  # the two others are gone
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
        page.wait_for_selector("#said:has-text('The link is copied.')", state="attached")
        assert page.evaluate("navigator.clipboard.readText()") == link
        press(".share summary")
        assert page.locator(".qr").is_visible()
        with visit(browser, server_and_worker.url) as friend:
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
        assert page.locator(".gallery li").count() == 0


def test_card_share_and_erase_without_javascript(server_and_worker, browser):
    with visit(browser, server_and_worker.url, width=360, java_script_enabled=False) as guest:
        page = guest.page
        page.goto("/")
        page.get_by_role("button", name="Try it with five example photos").click()
        page.wait_for_selector(".job.succeeded", timeout=SECONDS * 1000)  # the page loads itself anew
        page.get_by_role("link", name="Make a postcard").click()
        page.get_by_role("button", name="Paint my postcard").click()
        page.wait_for_selector(".job.succeeded", timeout=SECONDS * 1000)
        picture = page.url

        page.get_by_role("link", name="Print it as a postcard").click()
        page.fill("#greeting", "Saluti!")
        page.fill("#message", "你好")
        page.get_by_role("button", name="Show what I have written").click()
        assert "你好" in page.locator("#problems").inner_text()
        assert page.input_value("#greeting") == "Saluti!"  # nothing that was typed is lost
        page.fill("#message", "Cara nonna")
        shown = page.locator(".printed")
        page.get_by_role("button", name="Show what I have written").click()
        assert shown.count() == 2 and all(side.is_visible() for side in shown.all())
        page.locator("[name=orientation][value=portrait]").check()
        page.get_by_role("button", name="Show what I have written").click()
        front = shown.first.bounding_box()
        assert front["height"] > front["width"]
        with page.expect_download() as download:
            page.get_by_role("button", name="PDF, both sides").click()
        assert download.value.path().read_bytes().startswith(b"%PDF")
        page.get_by_role("link", name="Back to the picture").click()

        # The card's QR code leads to the picture, so it is shared now.
        page.get_by_role("button", name="Share it no longer").click()
        assert not page.locator("#share").is_visible()
        page.select_option("#days", "1")
        page.get_by_role("button", name="Make a link").click()
        link = page.input_value("#link")
        page.locator(".share summary").click()
        assert page.locator(".qr").is_visible() and not page.locator("#share").is_visible()
        with visit(browser, server_and_worker.url, java_script_enabled=False) as friend:
            assert friend.page.goto(link).status == 200
            with friend.page.expect_download():
                friend.page.get_by_role("link", name="Keep it").click()

            page.goto("/you/")
            page.locator(".erase summary").click()
            page.get_by_role("button", name="Yes, erase everything").click()
            assert "Erased" in page.locator(".told").inner_text()
            assert page.goto(picture).status == 404
            assert friend.page.goto(link).status == 404
        page.goto("/leave/")
        assert "keeps nothing of yours" in page.locator("main").inner_text()
        page.get_by_role("button", name="Forget me").click()
        assert re.search(r"/leave/\?forgotten$", page.url)
