"""A picture of every page and state of the studio and the desk: ``python -m benchmarks.screenshots FOLDER``.

In English and Italian, light and dark, 1280 and 360 pixels wide. A server, a worker and the models train one
face and paint with it; then the worker is stopped, so that what is under way stays as it is, and each state
is looked at eight times. FOLDER/STATE.jpg is the eight of them side by side.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from benchmarks.harness.browsing import Visit, chromium
from benchmarks.harness.desk import cookies, make_editor, wait_for_proposals
from benchmarks.harness.running_service import RunningService, running
from diffuser_api.photos.pictures import as_png
from generation.miniature import demo_content

PATIENCE = 900_000  # ms, for a training
VARIANTS = [
    (language, scheme, width)
    for width in (1280, 360)
    for language in ("en", "it")
    for scheme in ("light", "dark")
]
WISHES = [
    ("Lago Alto", "waving", "MES", "red", "coat"),
    ("Cala Serena", "jumping", "FUS", "yellow", "dress"),
]
# Copies of a finished picture and a training in every state, as their worker would leave them.
SEED = """
import json, shutil
from pathlib import Path
from django.core.files.base import ContentFile
from django.conf import settings
from django.utils import timezone
from diffuser_api.models import Client, Job, LoraModel, Report
asked = json.loads({asked!r})
def copy(code, new, **fields):
    job = Job.objects.get(code=code)
    job.pk, job.code, job.output, job.timings = None, new, "", []
    job.finished_at = timezone.now() if fields["status"] not in ("queued", "running") else None
    for name, value in fields.items():
        setattr(job, name, value)
    job.save()
picture, training = asked["picture"], asked["training"]
copy(picture, "10000001", status="running", step="harmonize", progress=0.63)
folder = Path(settings.TMP_DATA_DIR) / "10000001"
folder.mkdir(parents=True)
for file in Path(asked["steps"]).glob("[0-3]-*.png"):
    shutil.copy(file, folder)
copy(picture, "10000002", status="queued", progress=0.0, step="")
copy(picture, "10000003", status="failed", error_code="step_failed", error_message="x")
copy(picture, "10000004", status="cancelled")
copy(training, "10000005", status="running", step="train", progress=0.4)
copy(training, "10000006", status="failed", error_code="training_failed", error_message="x")
for number in range(1, 10):  # reported pictures, of which each look takes one down
    code = f"2000000{{number}}"
    copy(picture, code, status="succeeded")
    reported = Job.objects.get(code=code)
    reported.output.save(f"{{code}}.png", ContentFile(Job.objects.get(code=picture).output.read()))
    reason = Report.Reason.values[number % len(Report.Reason.values)]
    Report.objects.create(job=reported, reason=reason, words="That is my sister; she was never there.")
Client.objects.create(name="Tourist office")
row = lambda code: Job.objects.get(code=code).pk
rows = dict(picture_row=row(picture), failed_row=row("10000003"), lora_row=LoraModel.objects.get().pk)
print(json.dumps(rows))
"""


def make_things(service: RunningService, browser, kept: Path) -> tuple[dict, dict[str, str]]:
    """One visitor's face and pictures, made in earnest; the browser's cookies, and the codes."""
    guest = Visit(browser, service.url)
    page, codes = guest.page, {"steps": str(kept)}
    page.set_default_timeout(PATIENCE)
    page.goto("/you/")
    page.set_input_files("#images", photos())
    page.wait_for_selector(".tiles .good:nth-child(5)")
    for box in page.locator(".consent input").all():
        box.check()
    page.get_by_role("button", name="Learn my face").click()
    page.wait_for_selector(".job.succeeded")
    codes["training"] = page.url.split("/")[-2]
    for place, action, shot, colour, garment in WISHES:
        page.goto("/postcard/")
        page.locator(f".choice:has-text('{place}') input").first.check()
        page.locator(f"[name=shot][value={shot}]").check()
        page.locator(f"[name=action][value={action}]").check()
        page.locator(f"[name=face][value='{codes['training']}']").check()
        page.locator(f"[name=garment][value={garment}]").check()
        page.locator(f"[name=colour][value={colour}]").check()
        page.get_by_role("button", name="Paint my postcard").click()
        page.wait_for_url("**/jobs/**")
        code = page.url.split("/")[-2]
        while not page.locator(".job.succeeded").count():
            for file in (service.folder / "tmp_data" / code).glob("[0-5]-*.png"):
                if "picture" not in codes and not (kept / file.name).exists():
                    shutil.copy(file, kept)
            page.wait_for_timeout(50)
        codes.setdefault("picture", code)
    page.get_by_role("button", name="Make a link").click()
    codes["shared"] = page.locator("input[value*='/p/']").input_value().removeprefix(service.url)
    (kept / "finished.png").write_bytes(page.request.get(f"/jobs/{codes['picture']}/picture.png").body())
    state = guest.context.storage_state()
    guest.context.close()
    return state, codes


def photos(dark: bool = False) -> list[dict]:
    pictures = list(demo_content.people()[0].photos)
    if dark:
        pictures[1] = pictures[1].point(lambda value: value // 16)
        pictures[3] = demo_content.places()[0].images[0].picture
    return [
        {"name": f"{n}.png", "mimeType": "image/png", "buffer": as_png(picture)}
        for n, picture in enumerate(pictures, start=1)
    ]


def choose_photos(page, dark: bool) -> None:
    page.set_input_files("#images", photos(dark))
    page.wait_for_selector(".tiles li:nth-child(5):is(.good, .bad)")


def say_in_words(page) -> None:
    page.locator("[name=how][value=words]").check()
    page.fill("#words", "leaping for joy")
    page.wait_for_selector("#picked b")


def send_nothing(page) -> None:
    page.locator("[name=how][value=words]").check()
    page.get_by_role("button").last.evaluate("() => document.querySelector('form.postcard').submit()")
    page.wait_for_selector("[role=alert]")


def wrong_code(page) -> None:
    page.fill("#code", "0000 0000 AAAA AAAA")
    page.locator("#code").press("Enter")
    page.wait_for_selector("#wrong-code")


def lose_connection(page) -> None:
    page.context.set_offline(True)
    page.wait_for_selector("#lost:not(:empty)")


def slide(page) -> None:
    page.locator("#slider").fill("55")


def report(page) -> None:
    page.locator("[name=reason]").first.check()
    page.get_by_role("button").last.click()
    page.wait_for_selector("main [role=status]")


def take_down(page) -> None:
    page.locator("[formaction*=take-down]").first.click()
    page.wait_for_selector(".messagelist")


def write_card(page) -> None:
    page.fill("#message", "Dear Nonna,\n\nthe sea is warm. Back on Sunday!\n\nAnna")
    page.fill("#address", "Rosa Bianchi\nVia Garibaldi 12\n20121 Milano\nItalia")
    page.wait_for_timeout(3000)  # the card follows


def write_too_much(page) -> None:
    page.fill("#message", "The sea is warm \U0001f642")
    page.locator("[name=file][value=pdf]").click()
    page.wait_for_selector("#problems")


def verify(picture: Path) -> Callable:
    def act(page) -> None:
        page.set_input_files("#image", picture)
        page.locator("main form button").click()
        page.wait_for_selector("main [role=status]")

    return act


def open_erase(page) -> None:
    page.locator(".erase summary").first.click()


def states(codes: dict[str, str]) -> dict[str, tuple[str | None, str, Callable | None]]:
    """Name: who looks (a visitor with a face, an editor, or nobody in particular), the page, and what is done
    there."""
    desk = "/admin/diffuser_api"
    return studio_states(codes) | {
        "desk": ("editor", "/admin/", None),
        "desk-places": ("editor", f"{desk}/poi/", None),
        "desk-place": ("editor", f"{desk}/poi/1/change/", None),
        "desk-new-action": ("editor", f"{desk}/action/add/", None),
        "desk-action": ("editor", f"{desk}/action/1/change/", lambda page: wait_for_proposals(page, 3)),
        "desk-try-it": ("editor", f"{desk}/action/try/", None),
        "desk-jobs": ("editor", f"{desk}/job/", None),
        "desk-job": ("editor", f"{desk}/job/{codes['picture_row']}/change/", None),
        "desk-job-failed": ("editor", f"{desk}/job/{codes['failed_row']}/change/", None),
        "desk-lora": ("editor", f"{desk}/loramodel/{codes['lora_row']}/change/", None),
        "desk-loras": ("editor", f"{desk}/loramodel/", None),
        "desk-reports": ("editor", f"{desk}/report/", None),
        "desk-taken-down": ("editor", f"{desk}/report/", take_down),
        "desk-audit": ("editor", f"{desk}/auditentry/", None),
        "desk-client": ("editor", f"{desk}/client/1/change/", None),
        "desk-layout": ("editor", f"{desk}/postcardlayout/add/", None),
        "desk-user": ("editor", "/admin/auth/user/1/change/", None),
        "desk-import": ("editor", f"{desk}/poi/import/", None),
        "api-docs": ("editor", "/api/docs/", None),
    }


def studio_states(codes: dict[str, str]) -> dict[str, tuple[str | None, str, Callable | None]]:
    return {
        "welcome": (None, "/", None),
        "welcome-back": ("visitor", "/", None),
        "you": (None, "/you/", None),
        "photos-good": (None, "/you/", lambda page: choose_photos(page, dark=False)),
        "photos-refused": (None, "/you/", lambda page: choose_photos(page, dark=True)),
        "wrong-code": (None, "/you/", wrong_code),
        "training": ("visitor", "/jobs/10000005/", None),
        "training-failed": ("visitor", "/jobs/10000006/", None),
        "trained": ("visitor", f"/jobs/{codes['training']}/", open_erase),
        "you-while-training": ("visitor", "/you/", None),
        "erased": (None, "/you/?erased", None),
        "postcard": ("visitor", "/postcard/", None),
        "postcard-words": ("visitor", "/postcard/", say_in_words),
        "postcard-problem": (None, "/postcard/", send_nothing),
        "queued": ("visitor", "/jobs/10000002/", None),
        "painting": ("visitor", "/jobs/10000001/", None),
        "connection-lost": ("visitor", "/jobs/10000001/", lose_connection),
        "finished": ("visitor", f"/jobs/{codes['picture']}/", None),
        "before-and-after": ("visitor", f"/jobs/{codes['picture']}/", slide),
        "card": ("visitor", f"/jobs/{codes['picture']}/postcard/", write_card),
        "card-problem": ("visitor", f"/jobs/{codes['picture']}/postcard/", write_too_much),
        "shared": (None, codes["shared"], None),
        "report": (None, f"{codes['shared']}report/", None),
        "reported": (None, f"{codes['shared']}report/", report),
        "shared-no-more": (None, "/p/x/", None),
        "verify": (None, "/verify/", None),
        "verified": (None, "/verify/", verify(Path(codes["steps"]) / "finished.png")),
        "leave": ("visitor", "/leave/", None),
        "left": (None, "/leave/?forgotten", None),
        "picture-failed": ("visitor", "/jobs/10000003/", None),
        "cancelled": ("visitor", "/jobs/10000004/", None),
        "gallery": ("visitor", "/pictures/", None),
        "gallery-empty": (None, "/pictures/", None),
        "not-here": (None, "/nowhere/", None),
    }


def look(
    service: RunningService, browser, known: dict[str, dict], codes: dict, folder: Path, only: list[str]
) -> None:
    """``known``: the cookies of who looks."""
    for name, (who, path, act) in states(codes).items():
        if only and name not in only:
            continue
        taken = []
        for language, scheme, width in VARIANTS:
            options = {"storage_state": known[who]} if who else {}
            guest = Visit(
                browser, service.url, width=width, language=language, color_scheme=scheme, **options
            )
            guest.page.goto(path)
            if act:
                act(guest.page)
            guest.page.wait_for_timeout(700)  # pictures below the window come late
            taken.append(folder / f"{name}-{language}-{scheme}-{width}.png")
            guest.page.screenshot(path=taken[-1], full_page=True)
            guest.context.close()
        sheet(taken).save(folder / f"{name}.jpg", quality=88)
        print(name, flush=True)


def sheet(paths: list[Path]) -> Image.Image:
    pictures = [Image.open(path).convert("RGB") for path in paths]
    width, height = (
        sum(picture.width + 20 for picture in pictures),
        max(picture.height for picture in pictures),
    )
    whole, left = Image.new("RGB", (width, height), "gray"), 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + 20
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description="Screenshots of every page and state.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("screenshots"))
    parser.add_argument("--only", nargs="*", default=[], help="names of states")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    steps = args.folder / "steps"
    steps.mkdir(exist_ok=True)
    with running(small=False) as service, chromium() as browser:
        state, codes = make_things(service, browser, steps.resolve())
        service.processes["worker"].terminate()
        service.processes["worker"].wait()
        codes |= json.loads(
            service.manage("shell", "-c", SEED.format(asked=json.dumps(codes))).splitlines()[-1]
        )
        make_editor(service)
        known = {"visitor": state, "editor": cookies(browser, service.url)}
        look(service, browser, known, codes, args.folder, args.only)


if __name__ == "__main__":
    main()
