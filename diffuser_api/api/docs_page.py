"""The API's reference page, ``/api/docs/``: the OpenAPI schema as plain HTML, without JavaScript."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import get_conditional_response
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views import View

from diffuser_api.api import code_examples
from diffuser_api.api.schema import Generator


@dataclass(frozen=True)
class Value:
    """A field of a request or answer, or a parameter. The name of an inner field begins with its parent's
    name."""

    name: str
    kind: str  # in words, such as "text, up to 100 characters"
    required: bool
    description: SafeString


@dataclass(frozen=True)
class Answer:
    status: str
    phrase: str
    description: SafeString
    example: str
    values: list[Value]


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    anchor: str
    description: list[SafeString]  # paragraphs
    examples: list[tuple[str, str]]  # language, code
    needs_token: bool
    parameters: list[Value]
    kinds: list[str]  # content types that the body may have
    body: list[Value]
    example: str
    answers: list[Answer]


class ApiDocs(View):
    """Made once in a process. A browser that has the page is told so (304)."""

    def get(self, request) -> HttpResponse:
        content, etag = _page()
        whole = HttpResponse(content, headers={"ETag": etag, "Cache-Control": "public, no-cache"})
        return get_conditional_response(request, etag, response=whole)


@functools.cache
def _page() -> tuple[bytes, str]:
    """The page and its ETag."""
    schema = Generator().get_schema(public=True)
    with translation.override("en"):
        text = render_to_string("api_docs.html", {"info": schema["info"], "calls": list(calls(schema))})
    return text.encode(), f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'


def calls(schema: dict) -> Iterator[Call]:
    """Every operation of an OpenAPI 3.0 schema."""
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            text, _, code = operation.get("description", "").partition("```sh\n")
            body = operation.get("requestBody", {}).get("content", {})
            first = next(iter(body.values()), {})
            yield Call(
                method=method.upper(),
                path=path,
                anchor=operation["operationId"],
                description=paragraphs(text),
                examples=code_examples.in_languages(code.removesuffix("\n```")),
                needs_token="security" in operation,
                parameters=[
                    Value(
                        parameter["name"],
                        f"{parameter['in']}, {kind_of(parameter['schema'], schema)}",
                        parameter.get("required", False),
                        sentences(parameter.get("description", "")),
                    )
                    for parameter in operation.get("parameters", ())
                ],
                kinds=list(body),
                body=list(values(first.get("schema", {}), schema)),
                example=_pretty(first.get("example")),
                answers=[
                    _answer(status, answer, schema)
                    for status, answer in sorted(operation["responses"].items())
                ],
            )


def paragraphs(text: str) -> list[SafeString]:
    """A description's Markdown as HTML. The library's list of an enum's values is left out: ``kind_of`` names
    them."""
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    return [_with_code(part) for part in parts if part and not part.startswith("* `")]


def _with_code(text: str) -> SafeString:
    """What is between backticks, every other piece, is code."""
    kinds = ("{}", "<code>{}</code>")
    pieces = re.split("`+", text)
    return format_html_join(
        "", "{}", ((format_html(kinds[place % 2], piece),) for place, piece in enumerate(pieces))
    )


def sentences(text: str) -> SafeString:
    return format_html_join(" ", "{}", ((paragraph,) for paragraph in paragraphs(text)))


def _answer(status: str, answer: dict, schema: dict) -> Answer:
    content = answer.get("content", {}).get("application/json", {})
    listed = list(values(content.get("schema", {}), schema)) if status < "300" else []
    phrase = HTTPStatus(int(status)).phrase
    description = sentences(answer.get("description", ""))
    return Answer(status, phrase, description, _pretty(content.get("example")), listed)


def _pretty(example: object) -> str:
    return "" if example is None else json.dumps(example, indent=2, ensure_ascii=False)


def resolved(part: dict, schema: dict) -> dict:
    """``part``, with each ``$ref`` and ``allOf`` replaced by the schema that it refers to."""
    for inner in [*part.get("allOf", ()), *([part] if "$ref" in part else ())]:
        if "$ref" in inner:
            target = schema["components"]["schemas"][inner["$ref"].rpartition("/")[2]]
            part = resolved(target, schema) | {k: v for k, v in part.items() if k not in ("$ref", "allOf")}
    return part


def values(part: dict, schema: dict, before: str = "") -> Iterator[Value]:
    """The fields of an object, or of the objects in a list. Inner fields follow their parent."""
    part = resolved(part, schema)
    if part.get("type") == "array":
        yield from values(part["items"], schema, before or "[].")
        return
    for name, inner in part.get("properties", {}).items():
        whole = resolved(inner, schema)
        description = inner.get("description", "" if "enum" in whole else whole.get("description", ""))
        required = name in part.get("required", ())
        yield Value(before + name, kind_of(whole, schema), required, sentences(description))
        mark = "[]." if whole.get("type") == "array" else "."
        yield from values(whole, schema, f"{before}{name}{mark}")


def kind_of(part: dict, schema: dict) -> str:
    """A type in words."""
    part = resolved(part, schema)
    if "enum" in part:
        kind = "one of " + ", ".join(map(str, part["enum"]))
    elif part.get("type") == "array":
        kind = f"list of {kind_of(part['items'], schema)}"
    else:
        formats = {"date-time": "time, ISO 8601", "uri": "address", "binary": "file", "double": "number"}
        types = {"string": "text", "boolean": "true or false", "integer": "whole number"}
        kind = formats.get(part.get("format", "")) or types.get(part.get("type", ""), part.get("type", "any"))
        if "maxLength" in part:
            kind += f", up to {part['maxLength']} characters"
        elif part.get("type") == "integer" and "maximum" in part:
            kind += f", {part.get('minimum', 0)} to {part['maximum']}"
    return f"{kind}, or null" if part.get("nullable") else kind
