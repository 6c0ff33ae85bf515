"""Photos with the live camera: Chromium's own fake device shows a drawn photo, or an empty place."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from benchmarks.harness import fake_camera
from benchmarks.harness.browsing import CHROMIUM, accessible, chromium, visit
from generation.miniature import demo_content
from generation.miniature.world.people import random_person
from generation.miniature.world.scenes import HELD_OUT

SECONDS = 300  # for what takes long on a busy machine
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.browser,
    pytest.mark.service,
]
COUNTED = """window.counted = [];
window.watched ??= document.querySelector('.count');
window.observer ??= new MutationObserver(() => counted.push(watched.textContent));
observer.observe(watched, {childList: true});"""


@pytest.fixture
def camera(request, tmp_path, web_server):
    """A visitor's page "You", in a browser whose camera shows this picture."""
    pictures, options = request.param
    video = fake_camera.write_video(pictures(), tmp_path / "camera.y4m")
    with (
        chromium(*fake_camera.arguments(video)) as browser,
        visit(browser, web_server.url, **options) as guest,
    ):
        guest.context.set_default_timeout(SECONDS * 1000)
        guest.page.goto("/you/")
        yield guest.page


def face():
    """Many pictures of one person: shots of the same one would be copies."""
    seed = HELD_OUT + 901
    return demo_content.photos_of(random_person(seed, "adult", "woman"), seed, count=16)


def nobody():
    return [place.images[0].picture for place in demo_content.places()]


def shoot(page) -> None:
    """One photo, until the gate has judged it."""
    page.evaluate(COUNTED)
    page.locator("[data-shoot]").click()
    page.wait_for_selector("#live:not([open]), .verdict.good, .verdict.bad", state="attached")
    assert page.evaluate("counted") == ["3", "2", "1", ""]


def shoot_until_good(page) -> None:
    """The camera may show a picture that was taken before: that is refused, and taken again."""
    for _ in range(9):
        shoot(page)
        if not page.locator(".verdict.bad").count():
            return
    pytest.fail(page.locator(".verdict.bad").inner_text())


@pytest.mark.parametrize(
    "camera", [(face, {"width": 1280}), (face, {"width": 360, "language": "it"})], indirect=True
)
def test_five_photos_are_taken_with_five_hints_and_a_verdict_after_each(camera):
    page, hints = camera, []
    page.locator("#open-camera").click()
    page.wait_for_selector("[data-shoot]:enabled")
    accessible(page, "the camera")
    for number in range(1, 6):
        assert str(number) in page.locator("#live-title").inner_text()
        hints.append(page.locator(".hints li:visible").inner_text())
        shoot_until_good(page)
        expect(page.locator(".tiles li")).to_have_count(number)
        expect(page.locator(".tiles .good")).to_have_count(number)
    assert len(set(hints)) == 5
    expect(page.locator("#live")).to_be_hidden()
    assert page.evaluate("document.querySelector('#live video').srcObject") is None
    sent = page.evaluate(
        "Promise.all([...document.querySelector('#images').files].map((file) => createImageBitmap(file)))"
        ".then((all) => all.map((one) => [one.width, one.height]))"
    )
    assert sent == [list(fake_camera.SIZE)] * 5
    accessible(page, "five photos of the camera")


@pytest.mark.parametrize("camera", [(nobody, {})], indirect=True)
def test_a_shot_that_the_gate_refuses_is_taken_again_under_the_same_hint(camera):
    page = camera
    page.locator("#open-camera").click()
    page.wait_for_selector("[data-shoot]:enabled")
    for _ in range(2):
        shoot(page)
        expect(page.locator(".verdict.bad")).to_contain_text("No face", use_inner_text=True)
        expect(page.locator("#live-title")).to_contain_text("1", use_inner_text=True)
        expect(page.locator(".tiles li")).to_have_count(1)
    accessible(page, "a refused shot")
    page.keyboard.press("Escape")
    page.wait_for_selector("#live:not([open])", state="attached")
    assert page.evaluate("document.activeElement.id") == "open-camera"


@pytest.mark.parametrize("camera", [(face, {})], indirect=True)
def test_a_camera_that_is_closed_during_the_countdown_takes_nothing(camera):
    page = camera
    page.locator("#open-camera").click()
    page.wait_for_selector("[data-shoot]:enabled")
    click = "(...selectors) => selectors.forEach((one) => document.querySelector(one).click())"
    page.evaluate(f"({click})('[data-shoot]', '[data-close]')")
    page.wait_for_selector("#live:not([open])", state="attached")
    page.locator("#open-camera").click()
    page.wait_for_selector("[data-shoot]:enabled")
    assert page.locator(".count").inner_text() == ""
    expect(page.locator(".tiles li")).to_have_count(0)
    shoot(page)
    expect(page.locator(".tiles li")).to_have_count(1)


@pytest.mark.parametrize(
    ("error", "reason", "again"),
    [
        ("NotFoundError", "No camera was found", False),
        ("NotAllowedError", "may not use the camera", True),
        ("NotReadableError", "another program", True),
    ],
)
def test_without_a_camera_the_file_chooser_is_offered_and_the_reason_told(error, reason, again, web_server):
    refuse = f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{error}'); }}"
    with chromium() as browser, visit(browser, web_server.url) as guest:
        guest.page.add_init_script(refuse)
        guest.page.goto("/you/")
        expect(guest.page.locator("#one-photo")).to_be_hidden()
        guest.page.locator("#open-camera").click()
        guest.page.wait_for_selector(f"#reasons:has-text('{reason}')")
        expect(guest.page.locator("#one-photo")).to_be_visible()
        expect(guest.page.locator("#live")).to_be_hidden()
        expect(guest.page.locator("#open-camera")).to_be_visible(visible=again)
        accessible(guest.page, "no camera")


def test_where_a_browser_gives_no_camera_to_pages_there_is_the_file_chooser_alone(web_server):
    with chromium() as browser:
        with visit(browser, web_server.url) as guest:
            guest.page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
            guest.page.goto("/you/")
            expect(guest.page.locator("#one-photo")).to_be_visible()
            expect(guest.page.locator("#open-camera")).to_be_hidden()
        with visit(browser, web_server.url, java_script_enabled=False) as guest:
            guest.page.goto("/you/")
            expect(guest.page.locator("#images")).to_be_visible()
            expect(guest.page.locator("#open-camera")).to_be_hidden()
