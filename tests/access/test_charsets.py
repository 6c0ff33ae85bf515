"""Charsets that a request names, of which Python knows some that are for no text."""

import io
from wsgiref.util import setup_testing_defaults

import pytest

from djangoproject.wsgi import application

pytestmark = pytest.mark.usefixtures("catalogue")
FORM = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nabc\r\n--x--\r\n'
NAMES = ["hex", "zlib", "rot13", "undefined", "punycode", "idna", "utf-16", "utf-7", "a\0b"]


def answer_to(method: str, url: str, content_type: str, body: bytes = b"") -> tuple[str, bytes]:
    """Of the whole site, as a web server asks it."""
    path, _, query = url.partition("?")
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": "127.0.0.1"}
    setup_testing_defaults(environ)
    environ |= {"HTTP_HOST": "localhost", "CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body))}
    environ["wsgi.input"] = io.BytesIO(body)
    statuses = []
    content = b"".join(application(environ, lambda status, headers, *_: statuses.append(status)))
    return statuses[-1], content


@pytest.mark.parametrize("name", [*NAMES, *(f"utf-8; a*={name}''%41" for name in NAMES[:4])])
def test_a_charset_of_no_text_is_no_error_of_the_server(name):
    status, _ = answer_to("GET", "/api/pois/?search=abc", f"text/plain; charset={name}")
    assert status == "200 OK"
    for url in ("/api/lora-training/", "/api/verify/"):
        status, _ = answer_to("POST", url, f"multipart/form-data; boundary=x; charset={name}", FORM)
        assert status == "400 Bad Request"


@pytest.mark.parametrize("name", ["utf-8", "iso-8859-1", "windows-1252", "nobody-knows-it"])
def test_the_words_of_a_form_in_an_old_charset_are_read(name):
    status, content = answer_to(
        "POST", "/api/verify/", f"multipart/form-data; boundary=x; charset={name}", FORM
    )
    assert status == "400 Bad Request" and b"image" in content  # the one field that is missing
