"""Logins that the provider of single sign-on refused, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.routes.test_sso import known, leave, served
from tests.servers import issuer as issuers
from tests.servers.issuer import Issuer

COOKIE = "pypicloud-sso"
REFUSED = "The login was refused at the provider."


@pytest.fixture
def provider() -> Iterator[Issuer]:
    """Where ``admin`` is logged in."""
    with issuers.running() as running:
        running.login = {"preferred_username": "admin", "jti": None}
        yield running


@pytest.fixture
def browser(tmp_path: Path, provider: Issuer) -> Iterator[httpx.Client]:
    """A browser at a service."""
    with served(tmp_path, provider) as browser:
        yield browser


def begun(browser: httpx.Client, wanted: str = "/simple/") -> str:
    """The state of a login that is under way."""
    there = browser.get("/login/sso", params={"next": wanted})
    return parse_qs(urlsplit(there.headers["location"]).query)["state"][0]


def back(browser: httpx.Client, **query: str) -> httpx.Response:
    """What the provider has the browser ask for."""
    return browser.get(f"/login/sso/callback?{urlencode(query)}")


def forgotten(answer: httpx.Response) -> bool:
    """Whether the browser is to forget what it kept for the way back."""
    return f'{COOKIE}=""; ' in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    "said",
    [
        {"error": "access_denied"},
        {"error": "access_denied", "code": "one"},
        {"error": "", "code": "one"},
        {"error": "x" * 5000},
        {"code": ""},
        {},
    ],
)
def test_a_login_refused_there_is_refused_here(
    browser: httpx.Client, provider: Issuer, said: dict[str, str]
) -> None:
    """With an error or without a code: a page says so, and the token endpoint is not asked."""
    state = begun(browser)
    asked = list(provider.asked)
    answer = back(browser, state=state, **said)
    assert answer.status_code == 403
    assert "Not logged in</h1>" in answer.text
    assert REFUSED in answer.text
    assert provider.asked == asked
    assert not provider.exchanges
    assert not known(browser)


def test_what_the_provider_says_of_it_is_not_shown(browser: httpx.Client) -> None:
    """It is a stranger's text: anybody can send somebody here with any."""
    said = {"error": "call-this-number", "error_description": "<b>Pay here</b>", "error_uri": "x:y"}
    page = back(browser, state=begun(browser), **said).text
    assert REFUSED in page
    assert "state=" not in page
    for text in ("call-this", "Pay here", "x:y"):
        assert text not in page


def test_a_refusal_is_of_the_login_that_was_begun(browser: httpx.Client, provider: Issuer) -> None:
    """Its state is looked at first; one of another login leaves the one under way alone."""
    state = begun(browser)
    for wrong in ("", "another", f"{state}x"):
        answer = back(browser, state=wrong, error="access_denied")
        assert answer.status_code == 403
        assert REFUSED not in answer.text
        assert not forgotten(answer)
    assert REFUSED in back(browser, state=state, error="access_denied").text


def test_a_login_that_was_refused_is_used_up(browser: httpx.Client, provider: Issuer) -> None:
    """A code that comes for it afterwards begins nothing, though the browser kept everything."""
    came = leave(browser)
    kept = dict(browser.cookies)
    query = {name: values[0] for name, values in parse_qs(urlsplit(came).query).items()}
    back(browser, state=query["state"], error="access_denied")
    browser.cookies.update(kept)
    answer = browser.get(came)
    assert answer.status_code == 403
    assert "This login has been used." in answer.text
    assert not provider.exchanges


def test_what_the_browser_kept_is_forgotten_with_a_refusal(
    browser: httpx.Client, provider: Issuer
) -> None:
    """Whether the provider refused, or the token that it gave says nobody who is known here."""
    answer = back(browser, state=begun(browser), error="access_denied")
    assert forgotten(answer)
    assert COOKIE not in browser.cookies
    provider.login = {"preferred_username": "nobody-here", "jti": None}
    answer = browser.get(leave(browser))
    assert answer.status_code == 403
    assert forgotten(answer)
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize(
    ("wanted", "again"),
    [
        ("/simple/", "/login?next=/simple/"),
        ("/search?q=a&page=2", "/login?next=/search%3Fq%3Da%26page%3D2"),
        ("//evil.example/", "/login?next=/account"),
        ("https://evil.example/", "/login?next=/account"),
    ],
)
def test_one_tries_again_and_gets_where_one_wanted_to_be(
    browser: httpx.Client, wanted: str, again: str
) -> None:
    """The page leads to the login with the way that was wanted, if that is a path of ours."""
    answer = back(browser, state=begun(browser, wanted), error="access_denied")
    assert f'class="button" href="{again}"' in answer.text


def test_without_a_login_under_way_one_begins_anew(browser: httpx.Client) -> None:
    """What nobody here signed says nothing of a way."""
    assert (
        'class="button" href="/login?next=/account"'
        in back(browser, state="x", error="access_denied").text
    )
    browser.cookies.set(COOKIE, "made.up")
    assert (
        'class="button" href="/login?next=/account"'
        in back(browser, state="x", error="access_denied").text
    )
