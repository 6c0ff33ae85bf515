"""Translates an example call from curl to Python and JavaScript."""

from __future__ import annotations

import json
import shlex


def in_languages(curl: str) -> list[tuple[str, str]]:
    """(language, code) for each language, curl first. Empty for a call without an example."""
    if not curl:
        return []
    call = _read(curl)
    return [("curl", curl), ("Python", _python(**call)), ("JavaScript", _javascript(**call))]


def _read(curl: str) -> dict:
    """The parts of a curl command that ``benchmarks.harness.api_examples`` has written."""
    words, found = iter(shlex.split(curl)[1:]), {"method": "", "has_token": False, "body": None, "files": []}
    found |= {"url": "", "saved": ""}
    for word in words:
        if word == "-H":
            found["has_token"] |= next(words).startswith("Authorization")
        elif word == "-X":
            found["method"] = next(words)
        elif word == "-d":
            found["body"] = json.loads(next(words))
        elif word == "-F":
            name, _, path = next(words).partition("=@")
            found["files"].append((name, path))
        elif word == "-o":
            found["saved"] = next(words)
        else:
            found["url"] = word
    sends = found["body"] is not None or found["files"]
    return found | {"method": found["method"] or ("POST" if sends else "GET")}


def _python(method, has_token, body, files, url, saved) -> str:
    lines, options = ["import requests", ""], [f'"{method}"', f'"{url}"']
    if has_token:
        options.append('headers={"Authorization": "Bearer " + TOKEN}')
    if body is not None:
        options.append(f"json={body!r}")
    if files:
        parts = [f'("{name}", open("{path}", "rb"))' for name, path in files]
        options.append(f"files=[{', '.join(parts)}]")
    lines.append(f"answer = requests.request({', '.join(options)}, timeout=60)")
    lines.append("answer.raise_for_status()")
    if saved:
        lines.append(f'open("{saved}", "wb").write(answer.content)')
    elif method != "DELETE":
        lines.append("print(answer.json())")
    return "\n".join(lines)


def _javascript(method, has_token, body, files, url, saved) -> str:
    lines, headers, options = [], [], [f'method: "{method}"']
    if has_token:
        headers.append('"Authorization": `Bearer ${TOKEN}`')
    if body is not None:
        headers.append('"Content-Type": "application/json"')
        options.append(f"body: JSON.stringify({json.dumps(body, ensure_ascii=False)})")
    if files:
        lines.append("const body = new FormData();")
        lines += [f'body.append("{name}", file{number});' for number, (name, _) in enumerate(files, start=1)]
        options.append("body")
    if headers:
        options.insert(1, f"headers: {{ {', '.join(headers)} }}")
    lines.append(f'const answer = await fetch("{url}", {{ {", ".join(options)} }});')
    lines.append("if (!answer.ok) throw new Error(await answer.text());")
    if saved:
        lines.append("const card = await answer.blob();")
    elif method != "DELETE":
        lines.append("console.log(await answer.json());")
    return "\n".join(lines)
