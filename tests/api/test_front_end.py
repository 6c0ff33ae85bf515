"""The front-end of docs/, as it stands there: its server with a token, its page in a browser."""

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
def as_in_earnest():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPEN_API", "0")
        yield


@pytest.fixture
def front_end(server_and_worker):
    """The URL of docs/front-end/serve.py, which holds the only token."""
    token = server_and_worker.manage("create_client", "docs").strip()
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, str(SERVER), server_and_worker.url, url.rpartition(":")[2]]
    process = subprocess.Popen(command, env={"TOKEN": token}, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        yield url, token
    finally:
        process.terminate()
        process.wait()


def test_the_front_end_paints_a_picture_and_shows_errors(front_end, browser, browser_files):
    url, token = front_end
    with visit(browser, url) as guest:
        page = guest.page
        page.goto("/")
        page.wait_for_selector("[name=place] option:nth-child(10)", state="attached")
        page.set_input_files("[name=images]", browser_files[:2])
        page.get_by_role("button", name="Learn my face").click()
        page.wait_for_selector("#training [role=status]:has-text('Send exactly five photos')")
        page.select_option("[name=action_name]", "waving")
        page.get_by_role("button", name="Paint").click()
        page.wait_for_selector("#picture [role=status]:has-text('Done.')", timeout=300_000)
        page.wait_for_function("document.querySelector('#result').naturalWidth === 256")
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
