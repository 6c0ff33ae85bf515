"""Hostile requests to a web process, 2,000 of them: ``python -m benchmarks.hostile [COUNT]``, by a seed.

Some are made by schemathesis from the API's own schema, right and wrong; a third are bodies and uploads that
lie, burst or break off; the rest play with paths, heads and the way a request is sent. Prints what was
answered, what must not have been, the slowest answer, and the web process's memory before and after.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import json
import random
import re
import socket
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import hypothesis
import schemathesis
from PIL import Image
from schemathesis import GenerationMode

from benchmarks.harness.running_service import SECRET_KEY, RunningService, running

SEED = 2026
PATIENCE = 30.0  # seconds
MOST_OF_A_KIND = 16  # cases of one operation: drawing them costs more than sending them
ROUNDS_BEFORE = 150  # requests before memory is first looked at: imports and caches are filled by then
# What is in files that nobody may fetch: the database, settings, keys, the system's.
NEVER = [b"SQLite format 3", SECRET_KEY.encode(), b"DJANGO_SETTINGS_MODULE", b"root:x:0:"]
PATHS = ["/data/", "/data/outputs/", "/data/thumbnails/pois/", "/data/thumbnails/actions/1/", "/static/"]
PATHS += ["/api/", "/api/jobs/", "/api/lora-training/", "/", "/admin/"]
SECRETS = ["db.sqlite3", "secret_key", "throttles.sqlite3", "manage.py", "djangoproject/settings.py", ".env"]
SECRETS += ["loras/12345678.safetensors", "photos/1.jpg", "etc/passwd", "proc/self/environ"]
UPS = ["../", "..%2f", "%2e%2e/", "..\\", "%2e%2e%5c", "....//", "..%252f", "..%c0%af", "/", "%00/"]
UPS += ["../" * 12]


@dataclass
class Report:
    answers: collections.Counter = field(default_factory=collections.Counter)
    bad: list[str] = field(default_factory=list)  # what must not have happened
    slowest: tuple[float, str] = (0.0, "")


# --- sending ------------------------------------------------------------------------------------------------


def send(port: int, request: bytes, pieces: int = 1, pause: float = 0.0) -> bytes:
    """The whole answer; empty when the connection was closed without one."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            size = max(1, -(-len(request) // pieces))
            for begin in range(0, len(request), size):
                connection.sendall(request[begin : begin + size])
                time.sleep(pause)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
    except TimeoutError:
        return b"silent"
    except OSError:
        pass  # it may hang up on what it doesn't like
    return answer


def request(method: str, path: str, body: bytes = b"", kind: str = "", **headers: str) -> bytes:
    lines = {"Host": "127.0.0.1", "Connection": "close", "Content-Length": str(len(body))}
    lines |= {"Content-Type": kind} if kind else {}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


def judge(report: Report, label: str, answer: bytes, seconds: float) -> None:
    status = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    word = status[1].decode() if status else ("silent" if answer == b"silent" else "closed")
    report.answers[word] += 1
    if word == "silent" or word.startswith("5"):
        report.bad.append(f"{label}: {answer[:200]!r}" if status else f"{label}: {word}")
    for mark in NEVER:
        if mark in answer:
            report.bad.append(f"{label}: {mark!r} was served")
    if seconds > report.slowest[0]:
        report.slowest = (seconds, label)


# --- what is sent -------------------------------------------------------------------------------------------


def schema_requests(url: str, count: int) -> Iterator[tuple[str, bytes]]:
    """Cases that schemathesis draws from the schema, half of them valid."""
    schema = schemathesis.openapi.from_url(f"{url}/api/schema/?format=json")
    operations = [result.ok() for result in schema.get_all_operations()]
    each = min(MOST_OF_A_KIND, count // (2 * len(operations)) + 1)
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for case in _cases(operation, mode, each):
                yield f"schema {operation.label}", _raw(case, url)


def _cases(operation, mode, count: int) -> list:
    cases = []

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def collect(case):
        cases.append(case)

    # Nothing can be wrong about a request without parameters.
    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        collect()
    return cases


def _raw(case, url: str) -> bytes:
    import requests

    values = case.as_transport_kwargs(base_url=url)
    allowed = {"method", "url", "headers", "files", "data", "json", "params", "cookies", "auth"}
    prepared = requests.Request(**{key: value for key, value in values.items() if key in allowed}).prepare()
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else body
    kind = prepared.headers.get("Content-Type", "")
    kind = kind.decode() if isinstance(kind, bytes) else kind
    return request(prepared.method, prepared.path_url, body, kind)


@functools.cache
def picture(kind: str, side: int = 300) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((side, side), 60).convert("RGB").save(content, kind)
    return content.getvalue()


@functools.cache
def png_bomb(side: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 3_000_000)) + chunk(b"IEND", b"")
    )


ZEROS = b"\0" * 16 * 2**20  # more than a file may have


def uploads(draw: random.Random) -> list[bytes]:
    """Files that aren't the photo they say they are."""
    jpeg, png, webp = picture("JPEG"), picture("PNG"), picture("WEBP")
    flipped = bytearray(draw.choice([jpeg, png, webp]))
    for _ in range(20):
        flipped[draw.randrange(len(flipped))] = draw.randrange(256)
    return [
        b"",
        jpeg[: draw.randrange(1, len(jpeg))],
        png[: draw.randrange(1, len(png))],
        webp[: draw.randrange(1, len(webp))],
        bytes(flipped),
        jpeg + b"PK\x03\x04<script>alert(1)</script><?php system('id'); ?>",
        b"GIF89a/*" + jpeg + b"*/=1;alert(1)",
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        b"%!PS-Adobe\n(/etc/passwd) (r) file",
        png_bomb(draw.choice([6000, 30_000, 2**31 - 1])),
        png.replace(b"IDAT", b"tEXt"),
        b"\xff\xd8\xff\xe0" + draw.randbytes(3000),
        b"\x00\x00\x00\x18ftypheic" + draw.randbytes(3000),
        draw.randbytes(draw.randrange(1, 100_000)),
        ZEROS,
    ]


NAMES = [
    "a.jpg",
    "../../../a.jpg",
    "/etc/passwd",
    "a.php",
    "a\0.jpg",
    "x" * 3000,
    "💃.png",
    ".htaccess",
    "con",
]
TEXTS = [
    "",
    "x" * 200_000,
    "\0",
    "' OR 1=1 --",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "\ud800",
    "💃" * 500,
    "../" * 50,
]
TEXTS += ["<script>alert(1)</script>", "%s%n%x", "9" * 4000, "-1", "NaN", "null", "[]", "true"]
FIELDS = ["poi_name", "poi_image", "action_name", "action_shot_type", "age", "gender", "other_details"]
FIELDS += ["selected_lora", "dynamic_action_selection", "action_prompt", "seed", "webhook_url"]
VALID = {"poi_name": "Piazza del Duomo", "poi_image": "square in the sun", "action_name": "waving"}
VALID |= {"action_shot_type": "MES", "age": "adult", "gender": "man"}


def multipart(draw: random.Random, files: list[bytes], name: str = "images") -> tuple[bytes, str]:
    body = b""
    for content in files:
        file_name = draw.choice(NAMES)
        head = f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + b"--B--\r\n", "multipart/form-data; boundary=B"


def body_requests(draw: random.Random) -> Iterator[tuple[str, bytes]]:
    while True:
        kind = draw.choice(["one bad photo", "bad photos", "json", "form", "many", "lora", "broken json"])
        if kind == "one bad photo":
            body = multipart(draw, [picture("PNG")] * 4 + [draw.choice(uploads(draw))])
            yield kind, request("POST", "/api/lora-training/", *body)
        elif kind == "bad photos":
            body = multipart(draw, draw.choices(uploads(draw)[:-1], k=draw.randrange(8)))
            yield kind, request("POST", "/api/lora-training/", *body)
        elif kind == "json":
            values: dict = VALID | {
                draw.choice(FIELDS): draw.choice([*TEXTS, None, [], {"a": []}, 10**300, 1.5])
            }
            yield (
                kind,
                request("POST", "/api/generate-image/", json.dumps(values).encode(), "application/json"),
            )
        elif kind == "form":
            body = "&".join(f"{name}={draw.choice(TEXTS[2:6])}" for name in FIELDS).encode()
            yield kind, request("POST", "/api/generate-image/", body, "application/x-www-form-urlencoded")
        elif kind == "many":
            body = "&".join(f"f{n}=x" for n in range(draw.choice([99, 101, 50_000]))).encode()
            yield kind, request("POST", "/api/generate-image/", body, "application/x-www-form-urlencoded")
        elif kind == "lora":
            body = multipart(draw, [draw.choice(uploads(draw))], "lora")
            code = draw.choice(["00000000", "../../x", "%00", "1" * 500])
            headers = {
                "Authorization": draw.choice(["Bearer x", "Bearer " + "y" * 5000, "Basic e", "Bearer"])
            }
            yield kind, request("POST", f"/api/lora-training/{code}/complete/", *body, **headers)
        else:
            body = draw.choice(
                [b"[" * 90_000, b'{"a":' * 20_000, b"\xff\xfe", b'{"age": NaN}', b"1" * 9000, b"{"]
            )
            encoding = draw.choice(
                ["application/json", "application/json; charset=utf-16", "text/xml", "x", "/"]
            )
            yield kind, request("POST", "/api/generate-image/", body, encoding)


def wire_requests(draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """Paths, heads, and ways of sending."""
    while True:
        kind = draw.choice(["path", "path", "path", "query", "header", "host", "wire", "cut"])
        if kind == "path":
            path = draw.choice(PATHS) + draw.choice(UPS) * draw.randrange(1, 5) + draw.choice(SECRETS)
            yield f"path {path}", request(draw.choice(["GET", "HEAD", "POST", "DELETE"]), path)
        elif kind == "query":
            value = draw.choice(["%00", "a" * 3000, "%ff%fe", "../..", "9999999999.x", "%F0%9F"])
            path = draw.choice(
                ["/data/outputs/00000000?sig=", "/api/pois/?format=", "/api/schema/?lang=", "/?next="]
            )
            yield kind, request("GET", path + value)
        elif kind == "header":
            name = draw.choice(["Authorization", "X-Visitor", "Accept", "Cookie", "Range", "X-Forwarded-For"])
            name = draw.choice(
                [name, "Accept-Language", "If-Modified-Since", "X-HTTP-Method-Override", "Expect"]
            )
            value = draw.choice(
                ["x" * 7000, "\xff\xfe", "bytes=0-,0-,0-", "../../etc/passwd", "*;q=x", "é", ";;;"]
            )
            yield (
                f"header {name}",
                request(draw.choice(["GET", "POST"]), "/api/jobs/00000000/", **{name: value}),
            )
        elif kind == "host":
            host = draw.choice(["evil.example", "127.0.0.1:99999", "", "a b", "127.0.0.1, evil", "[::1", "é"])
            yield kind, request("GET", draw.choice(["/", "/api/pois/"]), Host=host)
        elif kind == "wire":
            yield kind, draw.choice(WIRE)
        else:
            whole = request("POST", "/api/generate-image/", json.dumps(VALID).encode(), "application/json")
            yield kind, whole[: draw.randrange(1, len(whole))]


POST = b"POST /api/generate-image/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
WIRE = [
    b"\0" * 5000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS to a port that speaks none
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET http://127.0.0.1/etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET " + b"/a" * 5000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    POST + b"Content-Length: 2\r\nContent-Length: 200\r\n\r\n{}",
    POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    POST + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
    b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
]


# --- the run ------------------------------------------------------------------------------------------------


def silent_clients(port: int, number: int = 20) -> float:
    """Seconds until /healthz answers while so many clients have stopped in the middle of a body."""
    stopped = []
    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(POST + b"Content-Length: 1000\r\n\r\n{")
        stopped.append(connection)
    time.sleep(0.5)
    began = time.monotonic()
    answer = send(port, request("GET", "/healthz"))
    for connection in stopped:
        connection.close()
    return time.monotonic() - began if b" 200 " in answer[:20] else float("inf")


def run(web: RunningService, count: int) -> tuple[Report, float, float]:
    """What was answered, and the memory of the web process in MB before and after."""
    draw, report = random.Random(SEED), Report()
    third = count // 3
    planned = list(schema_requests(web.url, third))[:third]
    bodies, wires = body_requests(draw), wire_requests(draw)
    planned += [next(bodies) for _ in range(third)] + [
        next(wires) for _ in range(count - third - len(planned))
    ]
    draw.shuffle(planned)
    worded = json.dumps(VALID | {"other_details": "a red coat"}).encode()  # loads the model that judges words
    send(web.port, request("POST", "/api/generate-image/", worded, "application/json"))
    before = 0.0
    for number, (label, content) in enumerate(planned):
        if number == min(ROUNDS_BEFORE, count // 3):
            before = web.rss_mb()
        slow = draw.random() < 0.02
        began = time.monotonic()
        answer = send(web.port, content, *((10, 0.05) if slow and len(content) < 10_000 else ()))
        judge(report, label, answer, time.monotonic() - began)
    return report, before, web.rss_mb()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with running(small=False, beside=(), MAX_JOBS_WAITING="100000") as web:
        began = time.monotonic()
        report, before, after = run(web, count)
        seconds = time.monotonic() - began
        print(f"{sum(report.answers.values())} hostile requests in {seconds:.0f} s, seed {SEED}")
        for word, number in sorted(report.answers.items()):
            print(f"  {word:8} {number:5}")
        print(f"slowest: {report.slowest[0]:.2f} s, {report.slowest[1][:60]}")
        print(f"memory of the web process: {before:.0f} MB early on, {after:.0f} MB at the end")
        print(f"20 clients that stop in the middle: the next one waits {silent_clients(web.port):.1f} s")
    print(f"what must not have happened: {len(report.bad)}")
    for text in report.bad[:20]:
        print(f"  {text}")
    sys.exit(bool(report.bad))


if __name__ == "__main__":
    main()
