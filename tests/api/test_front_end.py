"""The front-end of docs/, as it stands there: its server with a token, its page in a browser."""

import contextlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from benchmarks.harness import ROOT
from benchmarks.harness.browsing import visit
from benchmarks.harness.running_service import free_port

SERVER = ROOT / "docs" / "front-end" / "serve.py"


@pytest.fixture(scope="module", autouse=True)
def as_in_earnest_but_with_few_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPEN_API", "0")
        patch.setenv("DENOISING_STEPS", "4")
        yield


@contextlib.contextmanager
def serving(api: str, token: str):
    """docs/front-end/serve.py in front of the API; its URL."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, str(SERVER), api, url.rpartition(":")[2]]
    process = subprocess.Popen(command, env={"TOKEN": token}, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def front_end(server_and_worker):
    """Its URL, and the only token."""
    token = server_and_worker.manage("create_client", "docs").strip()
    with serving(server_and_worker.url, token) as url:
        yield url, token


def test_a_visitors_name_that_the_front_end_has_not_signed_speaks_for_nobody():
    no_api = f"http://127.0.0.1:{free_port()}"

    def status(cookie: str | None = None, **headers: str) -> int:
        headers |= {"Cookie": cookie} if cookie is not None else {}
        request = urllib.request.Request(f"{url}/api/jobs/00000000/", method="DELETE", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as answered:
            urllib.request.urlopen(request, timeout=30)
        return answered.value.code

    with serving(no_api, "cart_secret") as url:
        own = urllib.request.urlopen(url, timeout=30).headers["Set-Cookie"].partition(";")[0]
        assert status(own) == 502  # passed on
        name = own.partition("=")[2].partition(".")[0]
        for value in ("", " ", '" "', '"\\011"', "anna", f"anna.{own[-64:]}", name, f'" .{own[-64:]}"'):
            assert status(f"visitor={value}") == 400, value
        assert status() == 400
        assert status(own, Origin=url) == status(own, **{"Sec-Fetch-Site": "same-origin"}) == 502
        for name, value in (("Origin", no_api), ("Origin", "null"), ("Sec-Fetch-Site", "same-site")):
            assert status(own, **{name: value}) == 403


def test_the_front_end_paints_a_picture_and_shows_errors(front_end, browser, browser_files):
    url, token = front_end
    with visit(browser, url) as guest:
        page = guest.page
        page.goto("/")
        page.wait_for_selector("[name=place] option:nth-child(10)", state="attached")
        page.set_input_files("[name=images]", browser_files[:2])
        page.get_by_role("button", name="Learn my face").click()
        page.wait_for_selector("#training [role=status]:has-text('Send exactly five photos')")
        assert "Photo 0" not in page.inner_text("#training [role=status]")  # the reason is of all photos
        page.select_option("[name=action_name]", "waving")
        first = {"status": "queued", "position": 0, "progress": 0}
        page.route("**/api/jobs/*/", lambda route: route.fulfill(json=first), times=1)
        page.get_by_role("button", name="Paint").click()
        page.wait_for_selector("#picture [role=status]:has-text('You are next.')")
        page.wait_for_selector("#picture [role=status]:has-text('Done.')", timeout=300_000)
        page.wait_for_function("document.querySelector('#result').naturalWidth === 512")
        assert token not in page.content()
        with visit(browser, url) as other:
            code = page.locator("#result").get_attribute("src").split("/")[-1][:8]
            other.page.goto("/")
            assert other.context.request.get(f"/api/jobs/{code}/").status == 404
    with pytest.raises(urllib.error.HTTPError) as refused:  # nobody in particular may not speak for all
        urllib.request.urlopen(f"{url}/api/jobs/{code}/", timeout=30)
    assert refused.value.code == 400


@pytest.fixture
def browser_files(photos):
    return [
        {"name": f"{n}.png", "mimeType": "image/png", "buffer": photo}
        for n, photo in enumerate(photos, start=1)
    ]
