"""The page that says which marks a picture carries, in a browser: it speaks the page's own language."""

from __future__ import annotations

import pytest

from benchmarks.harness.browsing import accessible, visit

SIGN = """
from datetime import UTC, datetime
from pathlib import Path
from PIL import Image
from diffuser_api.marking import signing
path = Path({path!r})
Image.effect_noise((96, 96), 60).convert("RGB").save(path)
signing.sign_finished(path, {{"seed": 1, "steps": []}}, "00", datetime(2026, 5, 4, tzinfo=UTC))
"""


@pytest.fixture(scope="module")
def made_here(web_server, tmp_path_factory) -> bytes:
    """A picture with the running server's signature."""
    path = tmp_path_factory.mktemp("signed") / "signed.png"
    web_server.manage("shell", "-c", SIGN.format(path=str(path)))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("language", "choose", "none", "check", "chosen_none", "ours", "signer"),
    [
        ("en", "Choose a picture", "None is chosen yet.", "Check it", "Choose a picture.",
         "made by this service", "a Cartolina installation"),
        ("it", "Scegli un'immagine", "Non ne hai ancora scelta nessuna.", "Verificala", "Scegli un'immagine.",
         "fatta da questo servizio", "un'installazione di Cartolina"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("width", [360, 1280])
def test_a_picture_is_checked_in_the_page_s_own_language(
    width, language, choose, none, check, chosen_none, ours, signer, web_server, browser, made_here
):
    other = {"en": "it", "it": "en"}[language]  # the browser's, in which its own controls speak
    with visit(browser, web_server.url, width=width, language=other) as guest:
        page = guest.page
        page.goto("/verify/")
        page.locator(f".languages [value={language}]").click()
        page.wait_for_selector(f"html[lang={language}]")
        box = page.locator("#image").bounding_box()
        assert max(box["width"], box["height"]) <= 1  # the browser's own control is not seen
        assert page.locator("#chosen").inner_text() == none
        page.get_by_role("button", name=check).click()
        page.wait_for_selector(f'.problem:has-text("{chosen_none}")')
        with page.expect_file_chooser() as chooser:
            page.get_by_text(choose, exact=True).click()
        chooser.value.set_files({"name": "mia.png", "mimeType": "image/png", "buffer": made_here})
        assert page.locator("#chosen").inner_text() == "mia.png"
        accessible(page, "a picture to check")
        page.get_by_role("button", name=check).click()
        page.wait_for_selector(f"[role=status]:has-text('{ours}')")
        assert signer in page.locator(".sheet[role=status]").inner_text()
        accessible(page, "a checked picture")
