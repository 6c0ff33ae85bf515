"""What visitors and editors see is there in Italian: the words, and every page that shows them."""

import gettext
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.urls import resolve
from django.utils import timezone

import studio.urls
from benchmarks.harness import ROOT
from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_client, make_job, make_lora
from diffuser_api import admin as desk
from diffuser_api import audit, wording
from diffuser_api.jobs import status_changes
from diffuser_api.models import (
    Action,
    AuditEntry,
    Job,
    LoraModel,
    PoiImage,
    PostcardLayout,
    Report,
    Webhook,
)
from diffuser_api.photos import sentences
from generation.vision import skin
from tests.studio.test_studio_visitors import ask, come, finish, open_studio, wish  # noqa: F401

CATALOGUES = [("studio", "django"), ("diffuser_api", "django"), ("diffuser_api", "djangojs")]
FOLDER = "locale/it/LC_MESSAGES"


def entries(path) -> dict[tuple[str, str], list[str]]:
    """Each context and msgid of a .po file with its msgstrs."""
    found = {}
    for block in path.read_text().split("\n\n")[1:]:
        assert "fuzzy" not in block, block
        texts = {}
        for line in block.splitlines():
            if match := re.match(r'(msg\w+(?:\[\d\])?) "(.*)"$', line):
                key = match[1]
                texts[key] = match[2]
            elif line.startswith('"'):
                texts[key] += line[1:-1]
        key = texts.get("msgctxt", ""), texts["msgid"]
        found[key] = [text for name, text in texts.items() if name.startswith("msgstr")]
    return found


@pytest.mark.parametrize(("app", "domain"), CATALOGUES)
def test_every_text_has_its_italian_and_is_compiled(app, domain):
    known = entries(ROOT / app / FOLDER / f"{domain}.po")
    assert [text for text, translated in known.items() if not all(translated)] == []
    compiled = gettext.GNUTranslations((ROOT / app / FOLDER / f"{domain}.mo").open("rb"))._catalog
    for (context, text), translated in known.items():
        text = text.encode().decode("unicode_escape").encode("latin1").decode() if "\\" in text else text
        text = f"{context}\x04{text}" if context else text
        assert compiled.get((text, 0), compiled.get(text)) == translated[0].replace('\\"', '"'), text


def test_the_catalogues_agree():
    """Django makes one catalogue of all. So of two translations of a text, one never shows."""
    ours, desks = (entries(ROOT / app / FOLDER / "django.po") for app in ("studio", "diffuser_api"))
    assert {text for text in ours.keys() & desks if ours[text] != desks[text]} == set()


def test_the_admins_own_scripts_speak_italian(admin_client):
    catalogue = admin_client.get("/admin/jsi18n/", headers={"Accept-Language": "it"}).content.decode()
    known = json.loads(re.search(r"const newcatalog = (\{.*?\});", catalogue, re.DOTALL)[1])
    scripts = Path(admin.__file__).parent / "static" / "admin" / "js"
    said = re.compile(r"""\bgettext\((?:'([^']+)'|"([^"]+)")\)""")
    texts = {one or two for path in scripts.glob("*.js") for one, two in said.findall(path.read_text())}
    assert len(texts) > 30 and {text for text in texts if text not in known} == set()


@pytest.mark.parametrize("app", ["studio", "diffuser_api"])
def test_every_text_in_code_and_templates_is_in_the_catalogue(app, tmp_path):
    if not shutil.which("xgettext"):
        pytest.skip("needs gettext: apt-get install gettext")
    shutil.copytree(ROOT / app, tmp_path / app, ignore=shutil.ignore_patterns("locale", "migrations"))
    (tmp_path / app / "locale").mkdir()
    plain = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    for domain in [domain for of, domain in CATALOGUES if of == app]:
        command = [sys.executable, "-m", "django", "makemessages", "-l", "it", "--no-location", "-d", domain]
        subprocess.run(command, cwd=tmp_path / app, env=plain, check=True, capture_output=True)
        used = entries(tmp_path / app / FOLDER / f"{domain}.po")
        assert set(used) == set(entries(ROOT / app / FOLDER / f"{domain}.po"))


# --- every page in both languages ---------------------------------------------------------------------------

# What is the same in both languages: names, abbreviations, words that Italian has taken over.
SAME = re.compile(
    r"https?://\S+|\S+@\S+|\S+\.safetensors|cart_\w+|whsec_\S+|job\.succeeded|example\.org|\w+\*+|[\[{]\".*"
    r"|\d{4} \d{4} \w{4} \w{4}"
    r"|Cartolina|Piazza|noon|dusk|anna|desk|admin|[Ii]taliano|English|API|PDF|UTC|JPEG|PNG|WebP|HEIC|LoRAs?"
    r"|[Cc]lient|[Ll]ogo|[Ff]ile|[Ww]ebhook|[Tt]oken|[Hh]ost|Password|salt|hash|pbkdf2_sha256|step_failed"
    # from Django's templates and the workers' messages, which are not translated
    r"|^True$|^Search$|^a step broke$"
)
SPOKEN = ("alt", "aria-label", "placeholder", "title", "data-say")


class Texts(HTMLParser):
    """The texts of a page that people read or hear, but those that say that they are English."""

    VOID = {"img", "input", "link", "meta", "br", "hr"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self.open = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in self.VOID:
            self.open.append((tag, tag in ("script", "style") or attrs.get("lang") == "en" and tag != "html"))
        for name in () if attrs.get("lang") == "en" else SPOKEN:
            self._take(attrs.get(name))
        if tag == "input" and attrs.get("type") in ("submit", "button", "reset"):
            self._take(attrs.get("value"))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        self._take(data)

    def _take(self, text) -> None:
        text = " ".join((text or "").split())
        if not any(skipped for _, skipped in self.open) and re.search("[A-Za-z]{3}", SAME.sub("", text)):
            self.found.add(text)


def leftovers(browser, path: str) -> set[str]:
    """The texts that are the same in English and Italian."""
    pages = []
    for language in ("en", "it"):
        answer = browser.get(path, headers={"Accept-Language": language})
        assert answer.status_code in (200, 404), (path, answer.status_code)
        page = answer.content.decode()
        assert re.search(rf'<html[^>]* lang="{language}', page), path
        pages.append(Texts(page).found)
    assert pages[1], path
    return pages[0] & pages[1]


@pytest.fixture
def catalogue(db):
    place = make_catalogue()
    for row in (*PoiImage.objects.all(), *Action.objects.all()):
        row.translations = {"it": {"name": f"italiano {row.pk}", "description": f"italiano {row.pk}"}}
        row.save()
    return place


def test_no_english_is_left_on_the_studios_italian_pages(catalogue, tmp_path):
    anna, client, name = come()
    running, queued = ask(anna, catalogue), ask(anna, catalogue)
    job, failed, cancelled = (
        ask(anna, catalogue, garment="coat", colour="red", clothes=""),
        *(ask(anna, catalogue, clothes="") for _ in range(2)),
    )
    finish(job, tmp_path)
    status_changes.fail(status_changes.claim(failed.code), "step_failed", "x")
    anna.post(f"/jobs/{cancelled.code}/cancel/")
    status_changes.claim(running.code)
    LoraModel.objects.filter(pk=make_lora("30000001", client, name).pk).update(job=None)
    paths = [
        "/",
        "/you/",
        "/you/?erased",
        "/postcard/",
        "/pictures/",
        "/verify/",
        "/leave/",
        "/leave/?erased",
    ]
    paths += [
        "/leave/?forgotten",
        "/postcard/?how=words",
        "/no/such/page",
        f"/jobs/{job.code}/postcard/",
        "/p/x/",
    ]
    paths += [f"/jobs/{one.code}/" for one in (running, queued, job, failed, cancelled)]
    anna.post(f"/jobs/{job.code}/share/", {"days": "7"})
    paths.append(
        re.search(r'value="http://testserver(/p/[^"]+)"', anna.get(f"/jobs/{job.code}/").content.decode())[1]
    )
    paths.append(f"{paths[-1]}report/")
    assert {path: found for path in paths if (found := leftovers(anna, path))} == {}
    bea, _, _ = come()
    choice = bea.post("/postcard/", wish(catalogue, candidates="3"))["Location"]
    finish(Job.objects.get(code=choice.split("/")[-2]), tmp_path)
    assert leftovers(bea, choice) == set()
    paths.append(choice)
    walked = {resolve(path.partition("?")[0]).url_name for path in paths if path != "/no/such/page"}
    assert {url.name for url in studio.urls.urlpatterns} - walked == NO_PAGES, "walk the new page too"


# Addresses that answer with a part of a page, a picture, JSON, or a way to another page.
NO_PAGES = {
    "check",
    "compare",
    "examples",
    "code",
    "erase",
    "figure-in-words",
    "figure",
    "figure-card",
    "cancel",
    "again",
    "face",
    "keep",
}
NO_PAGES |= {"delete", "share", "shared-picture", "shared-small", "step", "preview", "sample", "picture"}
NO_PAGES |= {"small", "place"}


def test_a_lora_says_its_skin_tone_in_italian(admin_client, db):
    address = f"/admin/diffuser_api/loramodel/{make_lora('30000001').pk}/change/"
    said = {}
    for _, tone in skin.TONES:
        LoraModel.objects.update(skin_tone=tone)
        page = admin_client.get(address, headers={"Accept-Language": "it"}).content.decode()
        said[tone] = re.search(r'field-tone.*?class="readonly">([^<]+)<', page, re.DOTALL)[1]
    assert len(set(said.values())) == len(skin.TONES) and not set(said) & set(said.values()), said


def test_the_audit_log_says_who_and_why_in_italian(admin_client, db):
    """Whatever the software writes into it; names and unknown words are shown as they are stored."""
    who = [audit.ANYBODY, audit.OPERATOR, audit.AGE, audit.NOT_CHOSEN, audit.client(None)]
    why = [audit.SAFETY, *sentences.CODES, *sorted(wording.CODES), *Report.Reason.values]
    for by, reason in zip_longest(who, why, fillvalue=who[0]):
        AuditEntry.objects.create(event="refused", by=by, reason=reason)
    said = {}
    for language in ("en", "it"):
        page = admin_client.get(
            "/admin/diffuser_api/auditentry/?o=1", headers={"Accept-Language": language}
        ).content.decode()
        said[language] = [
            re.findall(rf'class="field-shown_{name}[^"]*">([^<]+)<', page) for name in ("by", "reason")
        ]
    for english, italian, stored in zip(said["en"], said["it"], (who, why), strict=True):
        assert len(english) == len(italian) == len(why)
        assert len(set(english)) == len(set(italian)) == len(stored)
        assert not set(italian) & {*english, *stored}
    assert not any("_" in text for text in said["en"][1])


def test_names_in_the_audit_log_are_shown_as_they_are(admin_client, db):
    named = make_client("anybody")[0]
    AuditEntry.objects.create(event="made", by=audit.client(named))
    AuditEntry.objects.create(
        event="erased", by=audit.staff(User(username="<b>age")), reason="from_1999, myself"
    )
    page = admin_client.get(
        "/admin/diffuser_api/auditentry/", headers={"Accept-Language": "it"}
    ).content.decode()
    assert ">client anybody<" in page and ">personale: &lt;b&gt;age<" in page
    assert ">from_1999, Ci sono io, e non sono d&#x27;accordo<" in page


@pytest.fixture
def rows(catalogue, tmp_path):
    """One row of each kind, so that every page of the desk has something to show."""
    client, _ = make_client("anna")
    job = make_job(client)
    Webhook.objects.create(
        job=job, event="job.succeeded", host="example.org", body="{}", next_try_at=timezone.now()
    )
    timing = {"import_seconds": 1.0, "load_seconds": 0.5, "inference_seconds": 2.5}
    steps = [{"step": name, **timing} for name in ("pose", "detail", "harmonize", "face")]
    failed = {
        "status": "failed",
        "error_code": "step_failed",
        "error_message": "a step broke",
        "timings": steps,
    }
    now = timezone.now()
    Job.objects.create(
        code="00000001", kind="training", client=client, started_at=now, finished_at=now, **failed
    )
    Job.objects.create(code="00000002", kind="generation", status="running", step="detail", started_at=now)
    LoraModel.objects.filter(pk=make_lora("30000001", client).pk).update(
        step=2, distances={"1": 0.5, "2": 0.4}
    )
    PostcardLayout.objects.create(name="Piazza")
    Report.objects.create(job=job, reason="myself")
    AuditEntry.objects.create(event="taken_down", what="generation", code="00000003", by="desk")
    AuditEntry.objects.create(event="reported", what="generation", by=audit.ANYBODY, reason="myself")
    Group.objects.create(name="anna")


@pytest.mark.slow  # every page of the desk
def test_no_english_is_left_on_the_desks_italian_pages(admin_client, client, rows):
    found = {}
    paths = ["", "diffuser_api/", "auth/", "password_change/", "password_change/done/"]
    paths += [
        "diffuser_api/action/try/",
        "diffuser_api/poi/import/",
        "diffuser_api/job/?status__exact=failed",
    ]
    for model, page in admin.site._registry.items():
        base = f"{model._meta.app_label}/{model._meta.model_name}/"
        paths.append(base)
        if not isinstance(page, desk.jobs.ReadOnlyAdmin):
            paths.append(f"{base}add/")
        for pk in model._default_manager.values_list("pk", flat=True):
            ends = {"change", "history"} if model is AuditEntry else {"change", "history", "delete"}
            paths += [f"{base}{pk}/{end}/" for end in ends]
    for path in paths:
        if left := leftovers(admin_client, f"/admin/{path}"):
            found[path] = left
    if left := leftovers(client, "/admin/login/"):
        found["login"] = left
    assert found == {}
