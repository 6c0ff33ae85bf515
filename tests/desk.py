"""An editor in a browser, on a real server."""

from __future__ import annotations

from tests.running_service import RunningService

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
