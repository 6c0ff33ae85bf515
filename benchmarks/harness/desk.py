"""An editor in a browser, on a real server."""

from __future__ import annotations

import pytest

from benchmarks.harness.running_service import RunningService

PASSWORD = "a long password for tests"


def make_editor(service: RunningService, name: str = "editor") -> None:
    """A superuser in the running server's database."""
    service.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    said = ("--noinput", "--username", name, "--email", "editor@cartolina.example")
    service.manage("createsuperuser", *said)


def log_in(page, url: str, name: str = "editor") -> None:
    page.goto(f"{url}/admin/")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_selector("#user-tools")


def cookies(browser, url: str) -> dict:
    """Those of an editor who has logged in."""
    context = browser.new_context()
    log_in(context.new_page(), url)
    kept = context.storage_state()
    context.close()
    return kept


def wait_for_proposals(page, count: int) -> None:
    """Until so many shots of an action's page show their picture, joints and masks."""
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(page.locator(".desk-loaded")).to_have_count(count, timeout=60_000)
    expect(page.locator("[aria-busy=true]")).to_have_count(0, timeout=60_000)
