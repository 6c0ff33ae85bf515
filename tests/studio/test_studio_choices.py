"""The form of a picture and the photos in a browser: nothing that was chosen gets lost or is silent."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import expect

from benchmarks.harness.browsing import accessible, visit
from benchmarks.harness.catalogue import make_photos
from diffuser_api.photos.pictures import as_png

NOT_FROM_FAR = """
from diffuser_api.models import ActionImage
ActionImage.objects.filter(action__name="waving", shot_type="FUS").delete()
"""


@pytest.mark.parametrize("width", [360, 1280])
def test_choices_outlive_reload_and_language_and_a_pose_is_never_exchanged(width, web_server, browser):
    web_server.manage("shell", "-c", NOT_FROM_FAR)
    with visit(browser, web_server.url, width=width) as guest:
        page = guest.page
        page.goto("/postcard/")
        page.locator("[name=place]").nth(2).check()
        page.locator("[name=action][value=waving]").check()
        page.locator("[name=colour][value=red]").check()
        page.fill("#clothes", "a straw hat")
        if width == 360:  # the place stays in sight, and so does the button
            page.locator("#clothes").scroll_into_view_if_needed()
            for part in (".stage", ".ask .button:not(.quiet)"):
                box = page.locator(part).bounding_box()
                assert box["y"] >= 0 and box["y"] + box["height"] <= 800, part
        page.reload()
        page.get_by_role("button", name="Italiano").click()
        page.wait_for_selector("html[lang=it]")
        assert (
            page.locator("[name=place]").nth(2).is_checked() and page.input_value("#clothes") == "a straw hat"
        )
        expect(page.locator("[name=colour][value=red]")).to_be_checked()
        page.locator("[name=shot][value=FUS]").check()
        expect(page.locator("[name=action][value=waving]")).to_be_checked()
        expect(page.locator("#no-shot")).to_be_visible()
        accessible(page, "a pose that isn't there from this distance")
        page.locator(".ask .button:not(.quiet)").click()
        page.wait_for_selector("#problems")
        assert page.evaluate("document.activeElement.id") == "problems"
        accessible(page, "a field that is wrong")


def test_a_sixth_photo_and_what_is_over_are_said(web_server, browser):
    files = [
        {"name": f"{n}.png", "mimeType": "image/png", "buffer": photo}
        for n, photo in enumerate([*make_photos(), make_photos()[0]])
    ]
    with visit(browser, web_server.url, width=360, has_touch=True, is_mobile=True) as guest:
        page = guest.page
        page.goto("/you/")
        expect(page.locator(".drag")).to_be_hidden()
        page.set_input_files("#images", files)
        page.wait_for_selector("#reasons li")
        assert "Five are enough" in page.inner_text("#reasons")
        expect(page.locator("#reasons")).to_be_visible()
        page.wait_for_selector(".tiles li:nth-child(5).good", timeout=300_000)
        page.locator(".tiles button").first.click()
        assert page.inner_text("#reasons") == ""
        for box in page.locator(".consent input").all():
            box.check()
        page.get_by_role("button", name="Learn my face").click()
        assert "still missing: 1" in page.inner_text("#reasons")
        page.set_input_files("#images", files[:1])
        page.wait_for_selector(".tiles li:nth-child(5)")
        assert page.inner_text("#reasons") == ""  # none is missing any more
        page.locator(".tiles button").last.click()
        accessible(page, "four photos")


@pytest.mark.parametrize("width", [360, 1280])
def test_a_refused_photo_has_room_for_the_reason_and_its_number_is_seen(width, web_server, browser):
    photo, nobody = make_photos()[0], as_png(Image.new("RGB", (300, 300), "teal"))
    files = [
        {"name": f"{n}.png", "mimeType": "image/png", "buffer": content}
        for n, content in enumerate((photo, nobody, photo))
    ]
    with visit(browser, web_server.url, width=width, language="it") as guest:
        page = guest.page
        page.goto("/you/")
        page.set_input_files("#images", files)
        page.wait_for_selector(".tiles li:nth-child(3).bad:has-text('foto 1')", timeout=300_000)
        expect(page.locator(".tiles .bad")).to_have_count(2)
        for tile in page.locator(".tiles .bad").all():
            words = tile.locator("p").evaluate("""p => {
                const range = document.createRange();
                range.selectNodeContents(p);
                return [...range.getClientRects()].map(r => [r.left, r.top, r.right, r.bottom]);
            }""")
            button = tile.locator("button").bounding_box()
            under = [r for r in words if r[2] > button["x"] and r[1] < button["y"] + button["height"]]
            assert not under, "the words lie beneath the button"
            row = page.locator(".tiles").bounding_box()["width"]
            assert tile.bounding_box()["width"] == pytest.approx(row, abs=1)
        accessible(page, "refused photos")


FOCUSED = """field => {
    field.focus();
    const style = getComputedStyle(field), words = document.createRange();
    words.selectNodeContents(document.querySelector(`label[for=${field.id}]`));
    const ring = parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset);
    return field.getBoundingClientRect().top - ring - words.getBoundingClientRect().bottom;
}"""


@pytest.mark.parametrize("width", [360, 1280])
def test_the_ring_of_a_field_with_the_focus_leaves_the_label_whole(width, web_server, browser):
    with visit(browser, web_server.url, width=width) as guest:
        page = guest.page
        page.goto("/you/")
        assert page.locator("#code").evaluate(FOCUSED) >= 0
        page.goto("/postcard/")
        page.locator("[name=how][value=words]").check()
        for field in ("#words", "#clothes"):
            assert page.locator(field).evaluate(FOCUSED) >= 0, field


TAPPED_TWICE = """() => {
    const held = [], button = document.querySelector(".ask .button:not(.quiet)");
    addEventListener("submit", (event) => held.push(event.defaultPrevented));
    button.click();
    button.click();
    return held;
}"""


def test_a_second_tap_on_a_form_sends_nothing_while_the_first_is_on_its_way(web_server, browser):
    with visit(browser, web_server.url) as guest:
        guest.page.goto("/postcard/")
        guest.page.locator("[name=place]").first.check()
        guest.page.locator("[name=action]").first.check()
        assert guest.page.evaluate(TAPPED_TWICE) == [False, True]


def test_a_wrong_code_is_told_whole_on_a_phone(web_server, browser):
    with visit(browser, web_server.url, width=360) as guest:
        page = guest.page
        page.goto("/you/")
        page.fill("#code", "1234 5678 abcd")
        page.locator("#code").press("Enter")
        page.wait_for_selector("#wrong-code")
        page.wait_for_function("document.activeElement.id === 'code'")
        for part in ("#wrong-code", "#code"):
            box = page.locator(part).bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= 800, part


# Lets whatever has a shadow cast all of it.
UNCUT = """() => {
    for (const one of document.querySelectorAll(".card, .stage, .sheet, .printed"))
        for (let box = one.parentElement; box !== document.body; box = box.parentElement) {
            box.style.overflow = "visible";
            box.style.clipPath = "none";
        }
}"""


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(("address", "part"), [("/", ".fan"), ("/postcard/", ".seen")])
def test_no_shadow_is_cut_off(address, part, width, web_server, browser):
    with visit(browser, web_server.url, width=width, reduced_motion="reduce") as guest:
        page, seen = guest.page, []
        page.goto(address, wait_until="networkidle")
        page.locator(part).evaluate("one => one.scrollIntoView({block: 'center', behavior: 'instant'})")
        for _ in range(2):
            seen.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
            page.evaluate(UNCUT)
        assert ImageChops.difference(*seen).getbbox() is None
