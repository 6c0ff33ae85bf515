"""Settings as text: read from the environment and .env, and understood exactly or refused by name.

A value that is not understood must never become a default: HTTPS=ture would switch off secure cookies. Only
an empty value, such as compose passes on for a variable that isn't set, means the default.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from dotenv.parser import parse_stream

TRUE, FALSE = ("1", "true", "yes", "on", "y"), ("0", "false", "no", "off", "n")
PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
HOST = re.compile(r"\*|\.?[\w-]+(\.[\w-]+)*\.?|\[[\da-fA-F:.]+\]")
ORIGIN = re.compile(r"https?://[^/\s]+")
PATH = re.compile(r"(/[\w.~-]+)+")
BROKER = re.compile(r"(amqps?|rediss?)://\S+")
BUCKET = re.compile(
    r"s3(?P<plain>\+http)?://(?P<key>[^\s:/@?#]+):(?P<secret>[^\s:/@?#]+)"
    r"@(?P<host>(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?)"
    r"/(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\?(?P<query>[^\s#]+))?"
)
ADDRESS = re.compile(r"https?://\S+")
ALIKE = 0.8  # of two names, by difflib: one may be meant where the other is written


def load(path: Path) -> None:
    """The file's lines, as variables of the environment that are not set there. No file, no lines."""
    if not path.exists():
        return
    with path.open(encoding="utf-8-sig") as file:
        for binding in parse_stream(file):
            if binding.error or (binding.key and binding.value is None):
                line = binding.original.string.strip()
                name = line.partition("=")[0].strip()
                raise ImproperlyConfigured(
                    f"{path.name}, line {binding.original.line}: {name} is not written as NAME=VALUE"
                )
            if binding.key:
                os.environ.setdefault(binding.key, binding.value)


class Environment:
    """Each method reads one setting. Raises ImproperlyConfigured with its name and what it may be."""

    def __init__(self, base: Path) -> None:
        self.base, self.known = base, set()  # relative folders start at ``base``

    def text(self, name: str, default: str = "") -> str:
        self.known.add(name)
        value = os.environ.get(name, "")
        return value if value.strip() else default

    def _word(self, name: str) -> str:
        return self.text(name).strip()

    def flag(self, name: str, default: bool = False) -> bool:
        word = self._word(name)
        if word and word.lower() not in TRUE + FALSE:
            raise _refused(name, word, "true or false")
        return word.lower() in TRUE if word else default

    def number(self, name: str, default: int, least: int) -> int:
        word = self._word(name)
        if word and not (re.fullmatch(r"[0-9]{1,15}", word) and int(word) >= least):
            raise _refused(name, word, f"a whole number without a unit, at least {least}, such as {default}")
        return int(word) if word else default

    def choice(self, name: str, values: Collection[str]) -> str:
        """The first of ``values`` is the default."""
        word = self._word(name) or next(iter(values))
        if word not in values:
            raise _refused(name, word, f"one of {', '.join(values)}")
        return word

    def rate(self, name: str, default: str) -> tuple[int, int]:
        """ "600/minute" as (600, seconds). 0: no limit."""
        word = self._word(name) or default
        number, _, period = word.partition("/")
        if not re.fullmatch(r"[0-9]{1,9}", number) or period not in PERIODS:
            raise _refused(
                name, word, f"a number, a slash, and one of {', '.join(PERIODS)}, such as {default}"
            )
        return int(number), PERIODS[period]

    def names(self, name: str, default: Collection[str] = ()) -> list[str]:
        """Separated by commas, with or without spaces."""
        found = [part.strip() for part in self.text(name).split(",")]
        return [part for part in found if part] or list(default)

    def some_of(self, name: str, values: Collection[str]) -> list[str]:
        """All of ``values`` by default, and always in their order."""
        found = self.names(name, values)
        for part in found:
            if part not in values:
                raise _refused(name, part, f"some of {', '.join(values)}, separated by commas")
        return [value for value in values if value in found]

    def hosts(self, name: str, default: Collection[str]) -> list[str]:
        sentence = "host names without https:// and port, separated by commas, such as cartolina.example"
        return self._matching(HOST, name, default, sentence)

    def origins(self, name: str) -> list[str]:
        sentence = "addresses without a path, separated by commas, such as https://cartolina.example"
        return self._matching(ORIGIN, name, (), sentence)

    def _matching(self, pattern: re.Pattern, name: str, default: Collection[str], sentence: str) -> list[str]:
        found = self.names(name, default)
        for part in found:
            if not pattern.fullmatch(part):
                raise _refused(name, part, sentence)
        return found

    def networks(self, name: str, default: Collection[str] = ()) -> list[str]:
        found = self.names(name, default)
        for part in found:
            try:
                ip_network(part)
            except ValueError as error:
                raise _refused(name, part, f"networks such as 10.0.0.0/8 ({error})") from error
        return found

    def address(self, name: str, default: str) -> str:
        """Empty only where that is the default."""
        word = self._word(name) or default
        if word and not ADDRESS.fullmatch(word):
            raise _refused(name, word, f"an address such as {default or 'https://example.org/service'}")
        return word

    def file(self, name: str) -> Path | None:
        """A file that is there; None if none is named."""
        word = self._word(name)
        path = self.base / os.path.expanduser(word)
        if word and not path.is_file():
            raise _refused(name, word, "a file that is there")
        return path if word else None

    def path(self, name: str) -> str | None:
        """Of an address, such as /cartolina; None if it is empty."""
        word = self._word(name).rstrip("/")
        if word and not PATH.fullmatch(word):
            raise _refused(name, word, "a path that begins with a slash, such as /cartolina")
        return word or None

    def folder(self, name: str, default: str) -> Path:
        """Made if it isn't there. ``~`` and variables such as $HOME are replaced."""
        word = self._word(name) or default
        path = os.path.expanduser(os.path.expandvars(word))
        if "$" in path or path.startswith("~"):
            raise _refused(name, word, "a folder; it names a variable or a user that isn't there")
        folder = self.base / path
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(name, word, f"a folder that can be made ({error.strerror})") from error
        return folder

    def private_folder(self, name: str, default: str) -> Path:
        """Closed for other users of the machine. A group may share it, if somebody has made it so."""
        folder = self.folder(name, default)
        status = folder.stat()
        if status.st_mode & 0o007 and status.st_uid == os.geteuid():
            folder.chmod(status.st_mode & 0o770)
        return folder

    def database(self, name: str, sqlite: Path) -> dict:
        """Django's settings of a database: that of the URL, else of the file ``sqlite``."""
        word = self._word(name)
        if not word:  # not by a URL, where "#", "?", "+" and "%" mean something
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(sqlite)}
        try:
            return _database_of(word)
        except (
            ValueError,
            KeyError,
            ImproperlyConfigured,
        ):  # the value, which may hold a password, is not said
            raise ImproperlyConfigured(
                f"{name} must be a URL such as postgres://user:password@host/name or sqlite:////folder/file; "
                "write special characters with a percent sign, such as %23 for #"
            ) from None

    def broker(self, name: str) -> str:
        """A URL of RabbitMQ or Redis; empty if none is set. It may hold a password, so no error says it."""
        word = self._word(name)
        if word and not BROKER.fullmatch(word):
            raise ImproperlyConfigured(
                f"{name} must be a URL such as amqp://user:password@host:5672/vhost or redis://host:6379/0"
            )
        return word

    def bucket(self, name: str) -> dict[str, str]:
        """The options of ``storage.bucket`` from a bucket's URL; empty if none is set. It holds a secret, so
        no error says it."""
        word = self._word(name)
        try:
            return _bucket_of(word) if word else {}
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} must be the URL of a bucket, s3://KEY:SECRET@host:port/bucket?region=NAME, or "
                "s3+http:// for a server without TLS. The port and the region (us-east-1) may be left out. "
                "Write special characters of key and secret with a percent sign, such as %2F for /"
            ) from None

    def look_alikes(self, others: Collection[str] = ()) -> list[str]:
        """A sentence for each variable that is no setting, but named much like one. ``others``: settings that
        other modules read."""
        known, sentences = self.known | set(others), []
        for name in sorted(os.environ.keys() - known):
            if meant := difflib.get_close_matches(name.upper(), known, 1, ALIKE):
                sentences.append(f"{name} is no setting and changes nothing. Is {meant[0]} meant?")
        return sentences


def _database_of(url: str) -> dict:
    """Raises ValueError, KeyError or ImproperlyConfigured for one that would be read as something else."""
    parts = urlsplit(url)
    is_file = parts.scheme == "sqlite"
    if parts.scheme not in environ.Env.DB_SCHEMES or parts.fragment or (is_file and parts.query):
        raise ValueError
    found = environ.Env.db_url_config(url.replace("+", "%2B") if is_file else url)
    if not found["NAME"]:
        raise ValueError
    return found


def _bucket_of(url: str) -> dict[str, str]:
    """Raises ValueError for a URL that would be read as something else."""
    matched = BUCKET.fullmatch(url)
    if not matched:
        raise ValueError
    query = dict(parse_qsl(matched["query"] or "", keep_blank_values=True))
    if query.keys() - {"region"} or not all(query.values()):
        raise ValueError
    port = urlsplit(f"//{matched['host']}").port  # raises ValueError for one that is too large
    if port == 0:
        raise ValueError
    return {
        "endpoint_url": f"{'http' if matched['plain'] else 'https'}://{matched['host']}",
        "bucket_name": matched["bucket"],
        "access_key": unquote(matched["key"]),
        "secret_key": unquote(matched["secret"]),
        "region_name": query.get("region", "us-east-1"),
    }


def _refused(name: str, value: str, sentence: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name}={value!r} must be {sentence}")
