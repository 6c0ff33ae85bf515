"""Guesses at the admin's passwords are few, and the message says when to try again."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser

from diffuser_api.access import log_in

PAGE = "/admin/login/"
STRANGER, HONEST = "198.51.100.7", "203.0.113.9"


@pytest.fixture(autouse=True)
def staff(db, settings):
    settings.NUM_PROXIES = 1
    return User.objects.create_superuser("anna", password="right")


def attempt(name: str, password: str, address: str = STRANGER):
    values = {"username": name, "password": password}
    return Browser().post(PAGE, values, headers={"X-Forwarded-For": f"10.9.9.9, {address}"})


@pytest.mark.slow  # 131 log-ins
def test_a_hundred_and_twenty_nine_guesses_are_not_looked_at():
    statuses = [attempt("anna", f"guess {n}").status_code for n in range(129)]
    assert statuses == [200] * 8 + [429] * 121
    answer = attempt("anna", "right")
    assert answer.status_code == 429 and 60 < int(answer["Retry-After"]) <= 900
    assert re.search(
        r"Try again in (a minute|\d+ minutes), after \d\d:\d\d:\d\d UTC", answer.content.decode()
    )
    assert attempt("ANNA ", "right").status_code == 429  # the same name


def test_guesses_from_elsewhere_do_not_lock_the_owner_out():
    for n in range(20):
        attempt("anna", f"guess {n}")
    assert attempt("anna", "right", HONEST).status_code == 302


def test_an_address_that_tries_many_names_is_refused():
    statuses = [attempt(f"name {n}", "123456").status_code for n in range(40)]
    assert statuses == [200] * 30 + [429] * 10


def test_a_name_that_many_addresses_try_is_refused(monkeypatch):
    monkeypatch.setattr(log_in, "NAME", (5, 3600))
    statuses = [attempt("anna", "123456", f"198.51.100.{n}").status_code for n in range(8)]
    assert statuses == [200] * 5 + [429] * 3


def test_right_passwords_do_not_add_up():
    assert [attempt("anna", "right").status_code for _ in range(12)] == [302] * 12


def test_what_was_typed_is_not_kept(own_data_folder):
    attempt("my password by mistake", "x")
    assert b"mistake" not in b"".join(path.read_bytes() for path in own_data_folder.glob("throttles*"))


ELSEWHERE = ["https://evil.example/", "//evil.example/", r"/\evil.example/", "javascript:alert(1)", ""]


@pytest.mark.parametrize("asked", ELSEWHERE)
def test_who_came_with_a_way_to_another_site_is_at_the_desk_after_the_log_in(asked):
    browser = Browser()
    page = browser.get(PAGE, {"next": asked})
    [hidden] = re.findall(r'name="next" value="([^"]*)"', page.content.decode())
    values = {"username": "anna", "password": "right", "next": hidden}
    answer = browser.post(f"{PAGE}?{page.wsgi_request.META['QUERY_STRING']}", values, follow=True)
    assert answer.redirect_chain == [("/admin/", 302)] and answer.status_code == 200


def test_who_came_from_a_page_of_the_desk_is_there_again_after_the_log_in():
    browser, wanted = Browser(), "/admin/diffuser_api/job/?status__exact=failed"
    page = browser.get(wanted, follow=True)
    [hidden] = re.findall(r'name="next" value="([^"]*)"', page.content.decode())
    answer = browser.post(PAGE, {"username": "anna", "password": "right", "next": hidden}, follow=True)
    assert answer.redirect_chain == [(wanted, 302)] and answer.status_code == 200
