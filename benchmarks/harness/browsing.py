"""A real browser: Debian's Chromium, driven by Playwright. Records what it asks for and complains of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]
PATIENCE = 30_000  # milliseconds
EXPECTED_ERRORS = (
    "net::ERR_",
    "htmx:sendError",
    "htmx:afterRequest",
    "status of 4",
    "status of 5",
)  # what a test provokes itself


@contextmanager
def chromium(*more: str):
    """The browser, started with more arguments."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *more])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One browser profile on one server, with ``page`` in front."""

    def __init__(self, browser, url: str, *, width: int = 1280, language: str = "en", **options) -> None:
        self.url, self.requests, self.complaints = url, [], []
        self.context = browser.new_context(
            base_url=url, locale=language, viewport={"width": width, "height": 800}, **options
        )
        self.context.set_default_timeout(PATIENCE)
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.context.on("console", lambda message: self._complain(message.type, message.text))
        self.context.on("weberror", lambda error: self._complain("error", str(error.error)))
        self.page = self.context.new_page()

    def _complain(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(known in text for known in EXPECTED_ERRORS):
            self.complaints.append(text)

    def check(self) -> None:
        """Nothing was asked of another origin, and the browser has nothing to complain of, CSP included."""
        elsewhere = [
            url for url in self.requests if not url.startswith((f"{self.url}/", f"blob:{self.url}/"))
        ]
        assert elsewhere == []
        assert not self.complaints, self.complaints


@contextmanager
def visit(browser, url: str, **options) -> Iterator[Visit]:
    """A visit whose requests and complaints are checked when it went well, and closed in any case."""
    visit = Visit(browser, url, **options)
    try:
        yield visit
        visit.check()
    finally:
        visit.context.close()


def submit(page, button: str) -> None:
    """Click a button that sends a form, and wait for the answer. Without JavaScript, the page before it and
    the answer may look alike."""
    with page.expect_navigation():
        page.get_by_role("button", name=button).first.click()


def go_to(page, selector: str) -> None:
    """With the Tab key, until an element that ``selector`` matches has the focus, which must be seen."""
    for _ in range(80):
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            style = "getComputedStyle(document.activeElement.nextElementSibling ?? document.body)"
            own = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert own != "none" or page.evaluate(f"{style}.outlineStyle") != "none", selector
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} can't be reached with the Tab key")


# Colours that were on their way when motion was reduced still go there.
SETTLED = """Promise.race([
    Promise.all(document.getAnimations().map((moving) => moving.finished.catch(() => null))),
    new Promise((resolve) => setTimeout(resolve, 2000)),
])"""


# axe-core's rules that look at colours. The others see the same page in light and in dark.
OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
AXE = "options => axe.run(document, options).then((found) => found.violations)"


def violations(page) -> dict[str, list[str]]:
    """By colour scheme, what axe-core finds: all of its rules in light, those of colours also in dark."""
    from axe_playwright_python.sync_playwright import Axe

    found = {}
    for scheme, rules in (("light", {}), ("dark", {"runOnly": OF_COLOURS})):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.evaluate(SETTLED)
        if not page.evaluate("'axe' in window"):
            page.evaluate(Axe().axe_script)
        broken = page.evaluate(AXE, {"resultTypes": ["violations"], **rules})
        found[scheme] = [f"{one['id']}: {node['html'][:200]}" for one in broken for node in one["nodes"]]
    return found


def accessible(page, where: str) -> None:
    """No violation that axe-core finds, in light and in dark, and nothing wider than the window."""
    for scheme, found in violations(page).items():
        assert found == [], f"{where}, {scheme}: {found}"
    page.emulate_media(color_scheme="light", reduced_motion="null")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where} is too wide"
