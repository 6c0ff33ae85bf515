"""An editor at work: a real browser on a real server, with a worker that paints what was made."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness.api_client import post_json
from benchmarks.harness.browsing import go_to, violations
from benchmarks.harness.desk import cookies, log_in, make_editor, wait_for_proposals
from generation.miniature import demo_content
from generation.miniature.world import scenes
from generation.miniature.world.pen import View

expect = pytest.importorskip("playwright.sync_api").expect
DESK = "/admin/diffuser_api"
MOST_CLICKS = 25
IN_A_FILE_DIALOG = 2  # clicks that the browser doesn't tell of: the file, and Open


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Four files: a place, and a close, a medium and a far figure, the last one as a skeleton."""
    folder = tmp_path_factory.mktemp("pictures")
    demo_content.draw_empty_place("harbour", "sunny", 31, 512).save(folder / "porto_al-tramonto.jpg")
    for k, (shot, name) in enumerate((("CLS", "near"), ("MES", "in between"))):
        scene = scenes.random_scene(scenes.HELD_OUT + 40 + k, shot=shot)
        scenes.draw_scene(scene, View(pixels=512)).save(folder / f"{name}.png")
    far = scenes.random_scene(scenes.HELD_OUT + 42, shot="FUS")
    scenes.skeleton(far).resize((512, 512)).save(folder / "far <b>away.png")
    return folder


@pytest.fixture(scope="module")
def site(few_steps, server_and_worker):
    make_editor(server_and_worker)
    return server_and_worker


@pytest.fixture(scope="module")
def session(browser, site):
    """The cookies of somebody who has logged in."""
    return cookies(browser, site.url)


@pytest.fixture
def page(browser, session, site):
    """A page that is logged in; nothing may be said in its console, nor asked of any other host."""
    context = browser.new_context(storage_state=session, viewport={"width": 1280, "height": 1000})
    opened = context.new_page()
    wrong = []
    opened.on("console", lambda message: message.type == "error" and wrong.append(_told(message)))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    ours = (site.url, "data:", "blob:")
    opened.on("request", lambda request: request.url.startswith(ours) or wrong.append(request.url))
    yield opened
    context.close()
    # A step's picture goes with its job's folder: the page may have asked for it a moment too late.
    late = [text for text in wrong if "404 (Not Found)" in text and "/steps/" in text]
    assert not [text for text in wrong if "400 (Bad Request)" not in text and text not in late], wrong


def _told(message) -> str:
    return f"{message.text} {message.location.get('url')}"


def choose(page, button, *files) -> None:
    with page.expect_file_chooser() as chooser:
        button.click()
    chooser.value.set_files([str(file) for file in files])


def drop(page, selector: str, *files) -> None:
    """As the browser does when files are dropped on an element."""
    held = [(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files]
    page.evaluate(
        """([selector, held]) => {
            const files = held.map(([name, text]) =>
                new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, {type: "image/png"}));
            const transfer = new DataTransfer();
            for (const file of files) transfer.items.add(file);
            for (const name of ["dragenter", "dragover", "drop"])
                document.querySelector(selector).dispatchEvent(
                    new DragEvent(name, {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        [selector, held],
    )


def statuses(page) -> list[str]:
    return page.locator(".desk-shot [role=status]").all_inner_texts()


def test_a_place_and_an_action_of_four_files_are_made_and_painted(page, site, pictures):
    clicks = []
    page.expose_function("desk_clicked", lambda: clicks.append(1))
    page.add_init_script("addEventListener('pointerdown', (e) => e.isTrusted && window.desk_clicked(), true)")
    page.goto(f"{site.url}/admin/")

    page.click(".model-poi .addlink")
    page.click("#id_name")
    page.keyboard.type("Porto <i>Nuovo</i>")
    choose(page, page.get_by_role("button", name="Choose pictures"), pictures / "porto_al-tramonto.jpg")
    assert page.input_value("#id_images-0-name") == "porto al tramonto"
    page.keyboard.type("sunny harbour")  # the cursor is in its description already
    page.click("[name=_save]")
    page.wait_for_selector(".success")

    page.click(".model-action .addlink")
    page.click("#id_name")
    page.keyboard.type("greeting")
    page.keyboard.press("Tab")
    page.keyboard.type("greeting somebody with a raised hand")
    files = [pictures / name for name in ("far <b>away.png", "near.png", "in between.png")]
    choose(page, page.get_by_role("button", name="Choose pictures"), *files)
    wait_for_proposals(page, 3)
    types = [page.input_value(f"#id_images-{k}-shot_type") for k in range(3)]
    assert types == ["CLS", "MES", "FUS"]
    page.click("[name=_try]")

    page.wait_for_selector("#try")
    page.select_option("#id_place", label="Porto <i>Nuovo</i>, porto al tramonto")
    page.click("[name=paint]")
    page.wait_for_selector(".state-succeeded", timeout=90_000)
    picture = page.locator("img[alt='the picture']").get_attribute("src")
    painted = Image.open(io.BytesIO(page.request.get(f"{site.url}{picture}").body()))
    assert painted.size == (512, 512)
    assert np.asarray(painted).std() > 10
    assert page.locator(".desk-chart rect").count() >= 4
    used = len(clicks) + 2 * IN_A_FILE_DIALOG + 2  # and the choice of the place, which opens a list
    print(f"{used} clicks")
    assert used <= MOST_CLICKS


def test_a_file_field_says_in_the_pages_language_which_file_was_chosen(page, site, pictures):
    page.set_extra_http_headers({"Accept-Language": "it"})
    page.goto(f"{site.url}{DESK}/postcardlayout/add/")
    field, said = page.locator("#id_logo"), page.locator(".field-logo .desk-file-name")
    assert said.inner_text() == "Nessun file scelto"
    assert field.evaluate("field => getComputedStyle(field).opacity") == "0"  # the browser's own words
    with page.expect_file_chooser() as chooser:
        page.locator(".field-logo .desk-file .button").click(force=True)  # the field lies over it
    chooser.value.set_files(str(pictures / "near.png"))
    assert said.inner_text() == "near.png"
    go_to(page, "#id_font")
    with page.expect_file_chooser():
        page.keyboard.press("Space")


def save(page) -> None:
    with page.expect_navigation():
        page.click("[name=_continue]")
    expect(page.locator(".success")).to_have_count(1)


def stored_masks(page, number: int) -> dict:
    address = page.locator(f"#images-{number}").get_attribute("data-stored")
    said = page.request.get(
        address if address.startswith("http") else page.url.split("/admin")[0] + address
    ).json()

    def opened(url: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("L")) > 127

    masks = {name: opened(said[f"{name}_mask"]) for name in ("subject", "face")}
    return masks | {"joints": said["joints"]}


def on_canvas(page, number: int, x: float, y: float) -> tuple[float, float]:
    """A place on the screen, of a place in the picture in shares of its sides."""
    box = page.locator(f"#images-{number} canvas").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page, *places: tuple[float, float]) -> None:
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


IN_SIGHT = (
    "one => { const { top, bottom } = one.getBoundingClientRect(); return top >= 0 && bottom <= innerHeight }"
)


def test_joints_are_dragged_masks_are_brushed_and_an_error_costs_nothing(page, site, pictures):
    page.goto(f"{site.url}{DESK}/action/add/")
    drop(page, "#images-1 .desk-stage", pictures / "in between.png")
    wait_for_proposals(page, 1)
    page.locator("#images-1 canvas").scroll_into_view_if_needed()

    page.locator("#images-1").get_by_role("radio", name="Subject mask").check()
    drag(page, on_canvas(page, 1, 0.05, 0.05), on_canvas(page, 1, 0.25, 0.05))  # more of it
    page.locator("#images-1").get_by_role("radio", name="Take away").check()
    drag(page, on_canvas(page, 1, 0.5, 0.97), on_canvas(page, 1, 0.52, 0.97))
    drag(page, on_canvas(page, 1, 0.05, 0.5), on_canvas(page, 1, 0.07, 0.5))
    page.locator("#images-1").get_by_role("button", name="Undo").click()

    page.locator("#images-1").get_by_role("radio", name="Joints").check()
    page.locator("#images-1").get_by_role("combobox", name="Joint").select_option(label="left ankle")
    page.locator("#images-1").get_by_role("button", name="Take it out").click()
    page.locator("#images-1 canvas").focus()
    page.locator("#images-1").get_by_role("combobox", name="Joint").select_option(label="nose")
    page.locator("#images-1 canvas").focus()
    for _ in range(5):
        page.keyboard.press("ArrowUp")

    page.click("[name=_continue]")  # without a name
    page.wait_for_selector(".errornote")
    assert "This field is required." in page.inner_text(".field-name .errorlist")
    page.fill("#id_name", "an action <b>")
    page.fill("#id_description", "doing something")
    save(page)
    page.wait_for_selector(".desk-shot[data-stored] .desk-loaded")
    saved = stored_masks(page, 0)
    side = len(saved["subject"])
    assert saved["subject"][round(0.05 * side), round(0.15 * side)]
    assert not saved["subject"][round(0.97 * side), round(0.51 * side)]
    assert not saved["joints"][13][2] and saved["joints"][10][2]
    assert "left ankle" in statuses(page)[0]

    page.locator("#images-0").get_by_role("radio", name="Face mask").check()
    page.locator("#images-0 canvas").scroll_into_view_if_needed()
    drag(page, on_canvas(page, 0, 0.12, 0.05), on_canvas(page, 0, 0.2, 0.05))
    save(page)
    page.wait_for_selector(".desk-shot[data-stored] .desk-loaded")
    again = stored_masks(page, 0)
    assert again["face"][round(0.05 * side), round(0.16 * side)]
    assert (again["subject"] == saved["subject"]).all() and again["joints"] == saved["joints"]

    page.locator("#images-0").get_by_role("radio", name="Face mask").check()
    page.locator("#images-0 canvas").focus()
    page.keyboard.press("Shift+ArrowDown")  # from the middle of the picture
    page.keyboard.down("Space")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.up("Space")
    page.keyboard.press("Shift+ArrowLeft")
    save(page)
    page.wait_for_selector(".desk-shot[data-stored] .desk-loaded")
    by_key = stored_masks(page, 0)
    changed = np.argwhere(by_key["face"] & ~again["face"]) / side
    assert len(changed) and abs(changed[:, 0].mean() - 0.5) < 0.1 and changed[:, 1].max() < 0.6
    assert (by_key["face"] | ~again["face"]).all()  # nothing was taken away


def test_leaving_with_joints_or_masks_that_are_not_saved_is_asked_about(page, site, pictures):
    page.goto(f"{site.url}{DESK}/action/1/change/")
    wait_for_proposals(page, 3)
    page.locator("#images-0").get_by_role("button", name="Larger").click()
    page.locator("#images-0 canvas").scroll_into_view_if_needed()
    assert page.locator("#images-0 .desk-tools").evaluate(IN_SIGHT)
    page.locator("#images-0").get_by_role("radio", name="Face mask").check()
    drag(page, on_canvas(page, 0, 0.48, 0.3), on_canvas(page, 0, 0.52, 0.3))
    with page.expect_event("dialog") as asked:
        page.evaluate("setTimeout(() => location.assign('/admin/'))")
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    save(page)  # of what is saved, nothing is asked
    page.wait_for_selector(".desk-shot[data-stored] .desk-loaded")


def test_where_nobody_is_found_joints_are_placed_by_hand(page, site, pictures):
    page.goto(f"{site.url}{DESK}/action/add/")
    drop(page, "#images-0 .desk-stage", pictures / "porto_al-tramonto.jpg")
    wait_for_proposals(page, 1)
    assert "No person was found" in statuses(page)[0]
    page.fill("#id_name", "placed by hand")
    page.fill("#id_description", "standing about")
    page.locator("#images-0 canvas").scroll_into_view_if_needed()
    joints = page.locator("#images-0").get_by_role("combobox", name="Joint")
    for name in ("nose", "neck", "right shoulder", "left shoulder", "right hip", "left hip"):
        joints.select_option(label=name)
        page.locator("#images-0").get_by_role("button", name="Put it in").click()
    page.locator("#images-0").get_by_role("button", name="Masks from the joints").click()
    save(page)
    saved = stored_masks(page, 0)
    assert sum(seen for _, _, seen in saved["joints"]) == 6
    assert saved["subject"].mean() > 0.02 and saved["face"].any()


def test_several_pictures_are_dropped_on_a_place(page, site, pictures):
    page.goto(f"{site.url}{DESK}/poi/add/")
    page.fill("#id_name", "dropped")
    files = [pictures / name for name in ("porto_al-tramonto.jpg", "near.png", "far <b>away.png")]
    drop(page, "#desk-drop", *files)
    names = [page.input_value(f"#id_images-{k}-name") for k in range(3)]
    assert names == ["porto al tramonto", "near", "far <b>away"]
    page.click("[name=_continue]")
    page.wait_for_selector(".errornote")
    for k in range(3):
        page.fill(f"#id_images-{k}-description", f"view {k}")
    page.context.clear_cookies(name="sessionid")
    page.click("[name=_continue]")
    expect(page.locator(".errornote")).to_contain_text("no longer logged in")
    other = page.context.new_page()
    log_in(other, site.url)
    other.close()
    save(page)
    expect(page.locator(".desk-place-picture img")).to_have_count(3)


PAGES = {
    "places": "poi/",
    "a new place": "poi/add/",
    "a place": "poi/1/change/",
    "actions": "action/",
    "a new action": "action/add/",
    "an action": "action/1/change/",
    "try": "action/try/",
    "jobs": "job/",
    "a job": "job/1/change/",
    "import": "poi/import/",
    "the API": "../../api/docs/",
}


def cancelled_job(site) -> None:
    """So that there is one, and no work with it."""
    wish = {"poi_name": "Cala Serena", "poi_image": "beach at noon", "action_name": "waving"}
    wish |= {"action_shot_type": "MES", "age": "adult", "gender": "man"}
    _, job = post_json(f"{site.url}/api/generate-image/", wish)
    post_json(f"{site.url}/api/jobs/{job['code']}/cancel/", {})


OF_A_CLIENT = """
from diffuser_api.models import Client, Job
client = Client.objects.create(name="Ufficio del turismo")
job = Job.objects.latest("pk")
Job.objects.filter(pk=job.pk).update(client=client, started_at=job.created_at, finished_at=job.created_at)
"""


def test_the_list_of_jobs_isnt_cut_at_1280_pixels(page, site):
    cancelled_job(site)
    site.manage("shell", "-c", OF_A_CLIENT)
    for language in ("en", "it"):
        page.set_extra_http_headers({"Accept-Language": language})
        page.goto(f"{site.url}{DESK}/job/")
        assert page.locator("#result_list tbody tr").count()
        assert page.locator("#changelist .results").evaluate("box => box.scrollWidth <= box.clientWidth")


def test_a_phones_lists_show_the_state_of_jobs_and_the_way_to_try_a_place_or_action(page, site):
    cancelled_job(site)
    page.set_viewport_size({"width": 360, "height": 800})
    page.set_extra_http_headers({"Accept-Language": "it"})
    for name, cell in (("job", ".field-state"), ("poi", ".field-try_it a"), ("action", ".field-try_it a")):
        page.goto(f"{site.url}{DESK}/{name}/")
        box = page.locator(f"#result_list {cell}").first.bounding_box()
        assert box["x"] + box["width"] <= 360, name
        parts = page.locator(f"#result_list {cell}").first.evaluate("shown => shown.getClientRects().length")
        assert parts == 1, name  # no word is broken
        fits = "box => box.scrollWidth <= box.clientWidth"
        assert page.locator("#changelist .results").evaluate(fits), name


A_REPORT = """
from django.core.files.base import ContentFile
from django.utils import timezone
from diffuser_api.models import AuditEntry, Job, Report, Webhook
job = Job.objects.latest("pk")
job.pk, job.code, job.status = None, "20000001", "succeeded"
job.save()
job.output.save("20000001.png", ContentFile(job.poi_image.image.read()))
Report.objects.create(job=job, reason="minor", words="That is my sister, and she was never there.")
told = {"event": "taken_down", "what": "generation", "code": "00000001"}
AuditEntry.objects.create(**told, by="staff a.long-name", reason="x, " * 20)
sent = {"event": "job.succeeded", "host": "hooks.tourism.example.org", "body": "{}"}
result = "the receiver answered 503 Service Unavailable"
Webhook.objects.create(job=job, **sent, last_result=result, next_try_at=timezone.now())
"""


def test_no_list_is_cut_at_1280_pixels_and_a_phone_shows_a_reports_button(page, site):
    cancelled_job(site)
    site.manage("shell", "-c", A_REPORT)
    for language in ("en", "it"):
        page.set_extra_http_headers({"Accept-Language": language})
        for name in ("report", "auditentry", "webhook"):
            page.goto(f"{site.url}{DESK}/{name}/")
            fits = "box => box.scrollWidth <= box.clientWidth"
            assert page.locator("#changelist .results").evaluate(fits), (language, name)
        page.set_viewport_size({"width": 360, "height": 800})
        page.goto(f"{site.url}{DESK}/report/")
        button = page.locator("[formaction*=take-down]").first.bounding_box()
        assert button["x"] + button["width"] <= 360, language
        page.set_viewport_size({"width": 1280, "height": 1000})


def test_axe_finds_nothing_on_the_desks_pages_light_or_dark(page, site):
    cancelled_job(site)
    wrong = {}
    for name, address in PAGES.items():
        answer = page.goto(f"{site.url}{DESK}/{address}")
        assert answer.status == 200, name
        if name == "an action":
            wait_for_proposals(page, 3)
        if name == "the API":
            page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
        page.add_style_tag(content="* { transition: none !important }")  # no colour between two schemes
        wrong |= {f"{name}, {scheme}": found for scheme, found in violations(page).items() if found}
    assert not wrong
