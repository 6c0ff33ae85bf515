"""The documents name only what exists: files, sections, settings, URLs, commands."""

import os
import re

import pytest
from django.core.management import get_commands
from django.urls import resolve

from benchmarks.harness import ROOT

DOCUMENTS = ["README.md", "ARCHITECTURE.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]
OF_LIBRARIES = {"HF_HOME", "HF_ENDPOINT"}  # settings that no file here reads
ROOMS_FROM = ("", "diffuser_api/")  # ARCHITECTURE.md leaves the second out where it is clear
documents = pytest.mark.parametrize("name", DOCUMENTS)


def anchors(text: str) -> set[str]:
    """The sections that a link may name, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@documents
def test_links_lead_to_files_and_sections_that_exist(name):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / name).read_text()):
        path, _, anchor = link.partition("#")
        target = ROOT / (os.path.normpath((ROOT / name).parent / path) if path else name)
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@documents
def test_named_files_exist(name):
    text = (ROOT / name).read_text()
    for path in set(re.findall(r"[\w-]+(?:/[\w.-]+)+\.(?:py|bash|md)\b", text)):
        folders = [ROOT / name, *(ROOT / room / "any" for room in ROOMS_FROM)]
        assert any((folder.parent / path).exists() for folder in folders), path


@documents
def test_named_settings_exist(name):
    known = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    named = re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=\w+)?`", (ROOT / name).read_text())
    assert set(named) <= known | OF_LIBRARIES


@documents
def test_named_commands_exist(name):
    text = (ROOT / name).read_text()
    assert set(re.findall(r"manage\.py (\w+)", text)) <= set(get_commands())
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([\w-]+)", text, re.MULTILINE)) <= targets


def test_the_calls_of_the_api_guide_have_their_urls():
    guide = re.sub(r"\$\(field [^)]*\)", "12345678", (ROOT / "docs" / "api.md").read_text())
    for path in set(re.findall(r"http://127\.0\.0\.1:8000(/[^\s\"]+)", guide)):
        assert resolve(path)
