"""Completes the OpenAPI schema: it adds the answers that every call may give, and an example of each call.

The examples are in ``examples.json``. ``python -m benchmarks.harness.api_examples`` has recorded them from a
running service.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import ClassVar

from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import BaseRenderer

from diffuser_api.api.errors import NOT_FOUND

EXAMPLES = Path(__file__).with_name("examples.json")
ERROR = {"$ref": "#/components/schemas/Error"}
OPEN = ("/api/pois/", "/api/actions/", "/api/consent/", "/api/verify/")  # need no token
COMMON = {
    "401": "No token, or one that is unknown, withdrawn, or of a client that is switched off.",
    "429": "Too many requests, or too many jobs waiting: try again after Retry-After seconds.",
}
OTHERS = {  # where they are listed already
    "400": "What was sent can't be used; the answer says why.",
    "403": "Only the training's own token is taken here.",
    "422": "The Idempotency-Key was sent with another request before; use a new one for each new job.",
}


class Generator(SchemaGenerator):
    """Makes the schema, in English, only once: that takes a third of a second, and the library's first use is
    not safe in two threads at once."""

    lock = threading.Lock()
    made: ClassVar[list[dict]] = []

    def get_schema(self, request=None, public=False):
        with self.lock:
            if not self.made:
                with translation.override("en"):
                    self.made.append(super().get_schema(request=None, public=True))
            return self.made[0]


def _once(renderer: type[BaseRenderer]) -> type[BaseRenderer]:
    """The renderer, which writes the schema only once; errors are written each time."""

    class Once(renderer):
        written: ClassVar[list[bytes]] = []

        def render(self, data, *args, **kwargs):
            if not any(data is made for made in Generator.made):
                return super().render(data, *args, **kwargs)
            if not self.written:
                self.written.append(super().render(data, *args, **kwargs))
            return self.written[0]

    return Once


class SchemaView(SpectacularAPIView):
    """Ignores ``?version=``. The API has only one version, and the library would copy the sent text unchecked
    into a header."""

    generator_class = Generator
    renderer_classes = tuple(map(_once, SpectacularAPIView.renderer_classes))

    def _get_version_parameter(self, request) -> None:
        return None


def complete(result: dict, generator, request, public) -> dict:
    """A postprocessing hook of drf-spectacular."""
    examples = json.loads(EXAMPLES.read_text()) if EXAMPLES.exists() else {}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            _add_errors(path, operation["responses"])
            _add_examples(examples.get(f"{method.upper()} {path}", {}), operation)
    return result


def _add_errors(path: str, answers: dict) -> None:
    common = dict(COMMON)
    if path in OPEN or path.endswith("/complete/"):
        del common["401"]
    if "{code}" in path and not path.endswith("/complete/"):
        common["404"] = NOT_FOUND
    common |= {status: text for status, text in OTHERS.items() if status in answers}
    for status, description in common.items():
        answers.setdefault(status, {"content": {"application/json": {"schema": ERROR}}, "description": ""})
        answers[status]["description"] = answers[status]["description"] or description


def _add_examples(example: dict, operation: dict) -> None:
    if "curl" in example:
        text = operation.get("description", "")
        operation["description"] = f"{text}\n\n```sh\n{example['curl']}\n```".strip()
    if "request" in example:
        for kind, content in operation["requestBody"]["content"].items():
            if kind == "application/json":
                content["example"] = example["request"]
    for status, body in example.get("answers", {}).items():
        answer = operation["responses"].setdefault(status, {"description": ""})
        content = answer.setdefault("content", {"application/json": {}})
        content["application/json"] = content["application/json"] | {"example": body}
