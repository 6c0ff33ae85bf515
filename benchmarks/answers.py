"""What an answer of the web server costs: ``python -m benchmarks.answers [POSTGRESQL]``, a minute.

The site's WSGI application answers in this process, on a database of its own where 300 clients wait. Prints
the SQL statements of each kind of call, and the processor's milliseconds: the time that other programs take
doesn't count. With an argument, on a PostgreSQL server that is started for this.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness import ROOT

WAITING, ROUNDS = 300, 200
Answer = tuple[int, dict[str, str], bytes]


def ask(path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    """Status, headers and body of the site's answer."""
    from djangoproject.wsgi import application

    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "HTTP_HOST": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    told: list = []
    answer = application(environ, lambda status, fields, error=None: told.extend((status, fields)))
    content = b"".join(answer)
    answer.close()
    return int(told[0].split()[0]), dict(told[1]), content


@contextlib.contextmanager
def database(on_postgresql: bool) -> Iterator[None]:
    """Django in this process, with a database and folders of its own and the demo's catalogue."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cartolina-answers-")))
        names = ("DATA_DIR", "TMP_DATA_DIR", "TRAINING_APP_DIR")
        os.environ |= {name: str(folder / name) for name in names}
        os.environ |= {"DJANGO_SETTINGS_MODULE": "djangoproject.settings", "LOG_LEVEL": "ERROR"}
        os.environ |= {"STUDIO": "1", "ADDRESS_RATE": "1000000/minute", "MAX_JOBS_WAITING": "100000"}
        os.environ.pop("DATABASE_URL", None)
        if on_postgresql:
            from benchmarks.harness import postgresql

            os.environ["DATABASE_URL"] = stack.enter_context(postgresql.running()).url
        for command in ("migrate", "load_demo"):
            subprocess.run(
                [sys.executable, "manage.py", command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
            )
        import django

        django.setup()
        yield


def crowd() -> tuple[str, str, str, str]:
    """Clients who wait. Returns a token, and the codes of three of its jobs: queued, running, finished."""
    from datetime import timedelta

    from django.utils import timezone

    from benchmarks.harness.clients import make_client, make_job
    from diffuser_api.models import Job

    now, token = timezone.now(), ""
    for number in range(WAITING):
        client, headers = make_client(f"front-{number}")
        queued = make_job(client)
    token = headers["Authorization"]
    for number in range(30):
        done = make_job(client)
        began = now - timedelta(minutes=number + 1)
        ended = began + timedelta(seconds=20)
        Job.objects.filter(pk=done.pk).update(status="succeeded", started_at=began, finished_at=ended)
    running = make_job(client)
    Job.objects.filter(pk=running.pk).update(status="running", started_at=now, worker="w", progress=0.3)
    return token, queued.code, running.code, done.code


def calls() -> dict[str, Callable[[], Answer]]:
    """What is asked, by its name in the table."""
    token, queued, running, done = crowd()
    known = {}
    for code in (queued, running, done):
        _, headers, _ = ask(f"/api/jobs/{code}/", Authorization=token)
        known[code] = headers.get("ETag", "")
    body = (
        b'{"poi_name": "Piazza del Duomo", "poi_image": "square in the sun", "action_name": "waving",'
        b' "action_shot_type": "MES", "age": "adult", "gender": "man"}'
    )

    def poll(code: str, **headers: str) -> Callable[[], Answer]:
        return lambda: ask(f"/api/jobs/{code}/", Authorization=token, **headers)

    def again(code: str) -> Callable[[], Answer]:
        return poll(code, **{"If-None-Match": known[code]})

    return {
        "a poll, queued": poll(queued),
        "a poll, queued, unchanged": again(queued),
        "a poll, running": poll(running),
        "a poll, running, unchanged": again(running),
        "a poll, finished": poll(done),
        "a submit": lambda: ask("/api/generate-image/", "POST", body, Authorization=token),
        "the places": lambda: ask("/api/pois/"),
        "the actions": lambda: ask("/api/actions/"),
        "/api/docs/": lambda: ask("/api/docs/"),
        "/api/schema/": lambda: ask("/api/schema/"),
        "the studio's first page": lambda: ask("/"),
    }


def measure(call: Callable[[], Answer], rounds: int) -> tuple[int, int, float, int]:
    """Status, SQL statements of one call, processor's milliseconds for each, bytes."""
    from django.db import connection

    statements = 0

    def count(execute, *arguments):
        nonlocal statements
        statements += 1
        return execute(*arguments)

    call()
    with connection.execute_wrapper(count):
        status, _, content = call()
    began = time.process_time()
    for _ in range(rounds):
        call()
    return status, statements, (time.process_time() - began) / rounds * 1000, len(content)


def main() -> None:
    with database(on_postgresql=len(sys.argv) > 1):
        print(f"| call, {WAITING} jobs wait | answer | statements | processor, ms | bytes |")
        print("| --- " * 5 + "|")
        for name, call in calls().items():
            rounds = 20 if name.startswith("/") or name == "a submit" else ROUNDS
            status, statements, milliseconds, size = measure(call, rounds)
            print(f"| {name} | {status} | {statements} | {milliseconds:.2f} | {size} |", flush=True)


if __name__ == "__main__":
    main()
