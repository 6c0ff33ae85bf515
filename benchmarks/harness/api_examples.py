"""Every call of the API, run, for the examples in its documentation.

``python -m benchmarks.harness.api_examples`` writes them. The answers are a running service's own; only
codes, times and signatures differ from run to run.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import requests

from benchmarks.harness import running_service
from diffuser_api.api.schema import EXAMPLES, OPEN

HOST = "https://cartolina.example"  # in the examples, instead of the service's own address
WISH = running_service.WISH | {
    "gender": "woman",
    "other_details": "a red coat",
    "selected_lora": "",
    "seed": 4,
}
CARD = {"greeting": "Saluti!", "message": "A presto", "address": "Maria Rossi\nRoma", "edges": "bleed"}
PHOTOS = " ".join(f"-F images=@photos/{n}.png" for n in range(1, 6))


class Api:
    """Calls the service as a client, and keeps what was asked and answered."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token, self.kept = url, token, {}

    def call(self, row: str, path: str = "", token: str | None = None, **options) -> requests.Response:
        """``row``: method and path as in the schema. ``path``: with the code filled in."""
        method, pattern = row.split()
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.request(
            method,
            self.url + (path or pattern),
            headers=headers | options.pop("headers", {}),
            timeout=120,
            **options,
        )
        example = self.kept.setdefault(row, {"curl": self._curl(method, path or pattern, options)})
        if answer.ok and "json" in options:
            example["request"] = options["json"]
        if "json" in answer.headers.get("Content-Type", ""):
            body = json.loads(answer.text.replace(self.url, HOST))
            example.setdefault("answers", {}).setdefault(str(answer.status_code), body)
        return answer

    def ask_quietly(self, **wish) -> dict:
        """A picture that is no example."""
        url, headers = f"{self.url}/api/generate-image/", {"Authorization": f"Bearer {self.token}"}
        return requests.post(url, json=WISH | wish, headers=headers, timeout=120).json()

    def _curl(self, method: str, path: str, options: dict) -> str:
        name = "ONE_TIME_TOKEN" if path.endswith("/complete/") else "TOKEN"
        line = "curl" if path in OPEN else f'curl -H "Authorization: Bearer ${name}"'
        if "json" in options:
            line += f" -H 'Content-Type: application/json' -d '{json.dumps(options['json'])}'"
            line += " -o postcard.pdf" if path.endswith("/postcard/") else ""
        elif "files" in options:
            one = path.endswith(("/check/", "/verify/"))
            line += " -F image=@photos/1.png" if one else f" {PHOTOS}"
        elif method != "GET":
            line += f" -X {method}"
        return f"{line} {HOST}{path}"


def run(api: Api, photos: list[bytes], wait: Callable[[str], dict]) -> dict:
    """Every call once as it should be, and once for each way in which it is refused."""
    parts = [("images", (f"{n}.png", photo, "image/png")) for n, photo in enumerate(photos, start=1)]
    api.call("GET /api/pois/")
    api.call("GET /api/actions/")
    api.call("GET /api/consent/")
    api.call("POST /api/photos/check/", files={"image": parts[0][1]})
    api.call("POST /api/verify/", files={"image": parts[0][1]})
    api.call("POST /api/verify/", files={"picture": parts[0][1]})
    api.call("POST /api/photos/check/", files={"picture": parts[0][1]})
    trained = api.call("POST /api/lora-training/", files=parts).json()
    api.call("POST /api/lora-training/", files=parts[:4])
    wished = WISH | {"selected_lora": trained["lora_code"]}
    painted = api.call("POST /api/generate-image/", json=wished, headers={"Idempotency-Key": "a"}).json()
    api.call("POST /api/generate-image/", json=WISH | {"seed": 5}, headers={"Idempotency-Key": "a"})
    api.call("POST /api/lora-training/", files=parts, headers={"Idempotency-Key": "a"})
    api.call("POST /api/generate-image/", json=WISH | {"poi_image": "square at night", "age": "12"})
    for row in ("POST /api/generate-image/", "POST /api/lora-training/", "POST /api/photos/check/"):
        api.call(row, token="")
    other = api.call("POST /api/generate-image/", json=WISH).json()["code"]
    code, lora = painted["code"], trained["lora_code"]
    api.call("POST /api/jobs/{code}/cancel/", f"/api/jobs/{other}/cancel/")
    api.call("POST /api/jobs/{code}/cancel/", f"/api/jobs/{other}/cancel/")
    wait(lora)
    wait(code)
    card, path = "POST /api/jobs/{code}/postcard/", f"/api/jobs/{code}/postcard/"
    api.call(card, path, json=CARD)
    api.call(card, path, json=CARD | {"layout": "gold"})
    api.call(card, path, json=CARD, token="")
    api.call(card, path.replace(code, "00000000"), json=CARD)
    api.call(card, path.replace(code, other), json=CARD)
    mine = api.ask_quietly(selected_lora=lora)["code"]
    wait(mine)
    face, path = "POST /api/jobs/{code}/face/", f"/api/jobs/{mine}/face/"
    another = api.call(face, path, json={"seed": 5}, headers={"Idempotency-Key": "b"}).json()["code"]
    api.call(face, path, json={"seed": 6}, headers={"Idempotency-Key": "b"})
    api.call(face, path, json={"seed": -1})
    api.call(face, path.replace(mine, other), json={})
    wait(another)
    keep, path = "POST /api/jobs/{code}/keep/", f"/api/jobs/{code}/keep/"
    three = api.ask_quietly(candidates=3)["candidates"]
    api.call(keep, path.replace(code, three[0]["code"]))
    api.call(keep, path)
    api.call(keep, path, token="")
    api.call(keep, path.replace(code, "00000000"))
    api.call(face, f"/api/jobs/{mine}/face/", json={}, token="")
    api.call(face, "/api/jobs/00000000/face/", json={})
    for row in ("GET /api/jobs/", "GET /api/loras/"):
        api.call(row)
        api.call(row, token="")
    for row, path in (
        ("GET /api/jobs/{code}/", f"/api/jobs/{code}/"),
        ("DELETE /api/jobs/{code}/", f"/api/jobs/{code}/"),
        ("POST /api/jobs/{code}/cancel/", "/api/jobs/00000000/cancel/"),
        ("DELETE /api/loras/{code}/", f"/api/loras/{lora}/"),
    ):
        api.call(row, path)
        api.call(row, path, token="")
        if row.startswith(("GET", "DELETE")):
            api.call(row, path.replace(code, "00000000").replace(lora, "00000000"))
    api.call("POST /api/lora-training/{code}/complete/", f"/api/lora-training/{lora}/complete/")
    return api.kept


def main() -> None:
    with running_service.running(small=False, TRAINING_STEPS="8", OPEN_API="0") as service:
        token = service.manage("create_client", "front-end").split()[-1]
        api = Api(service.url, token)

        def wait(code: str) -> dict:
            import time

            while True:
                headers = {"Authorization": f"Bearer {token}"}
                job = requests.get(f"{service.url}/api/jobs/{code}/", headers=headers, timeout=30).json()
                if job["status"] not in ("queued", "running"):
                    return job
                time.sleep(0.5)

        kept = run(api, service.photos, wait)
    EXAMPLES.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    print(EXAMPLES)


if __name__ == "__main__":
    main()
