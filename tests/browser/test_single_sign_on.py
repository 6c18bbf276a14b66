"""Single sign-on as people meet it: in a browser, to the provider's own page and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect
from pydantic import SecretStr

from app.access.oidc.options import SsoOptions
from tests.browser.chromium import Visitor, visiting
from tests.browser.demo import demo
from tests.servers import issuer as issuers
from tests.servers.issuer import Answered, Issuer
from tests.serving import Served

pytestmark = pytest.mark.e2e
WHO = "ada"
ALLOW, REFUSE = "Go on as Ada", "Refuse"
PAGE = f"""\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>The provider</title><link rel="icon" href="data:,"></head>
<body><h1>Your index asks who you are</h1>
<form method="post">
<button name="answer" value="allow">{ALLOW}</button>
<button name="answer" value="refuse">{REFUSE}</button>
</form></body></html>
"""


@contextmanager
def asking(issuer: Issuer) -> Iterator[str]:
    """The issuer's page, on which people go on or refuse; its URL.

    It is on ``localhost``, which to browsers is another site than the 127.0.0.1 of our pages:
    with a provider elsewhere cookies are kept back just so.
    """

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send((200, {"Content-Type": "text/html"}, PAGE.encode()))

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
            if parse_qs(sent)["answer"] == ["allow"]:
                self._send(issuer.authorize(asked))
            else:
                refused = urlencode({"error": "access_denied", "state": asked["state"]})
                self._send((302, {"Location": f"{asked['redirect_uri']}?{refused}"}, b""))

        def _send(self, answered: Answered) -> None:
            status, headers, body = answered
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with issuers.listening(Door) as url:
        yield f"{url.replace('127.0.0.1', 'localhost')}/ask"


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    """An issuer with a page for people, who are Ada there."""
    with issuers.running() as issuer, asking(issuer) as page:
        issuer.document = {"authorization_endpoint": page}
        issuer.login = {"preferred_username": WHO, "sub": "ada's number"}
        yield issuer


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, provider: Issuer) -> Iterator[Served]:
    """A service that logs people in at the provider and makes users of them."""
    sso = SsoOptions(
        issuer=provider.url,
        client_id="our index",
        client_secret=SecretStr(provider.secret),
        create_users=True,
    )
    with demo(tmp_path_factory.mktemp("sso"), seeded=False, sso=sso) as served:
        yield served


def answer(visitor: Visitor, provider: Issuer, name: str) -> Response:
    """From the login page to the provider, and the button there: what we said to the way back."""
    page = visitor.page
    page.get_by_role("link", name="Log in with single sign-on").click()
    page.wait_for_url(f"{provider.document['authorization_endpoint']}?*")
    with page.expect_response(re.compile("/login/sso/callback")) as back:
        page.get_by_role("button", name=name).click()
    assert back.value.request.all_headers()["sec-fetch-site"] == "cross-site"
    return back.value


def expect_stranger(visitor: Visitor) -> None:
    """Whoever this is, they are asked to log in and have no session."""
    page = visitor.open("/account")
    assert page.url == f"{visitor.url}/login?next=/account"
    assert "pypicloud" not in {one["name"] for one in visitor.context.cookies(visitor.url)}


def elsewhere(visitor: Visitor) -> set[str]:
    """The URLs of others that the browser asked for, without their queries."""
    return {url.partition("?")[0] for url in visitor.strangers}


def darkness(page: Page) -> bool:
    """Whether the page's ground is nearly black."""
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return all(int(part) < 64 for part in re.findall(r"\d+", ground)[:3])


def test_somebody_logs_in_at_the_provider_and_out_again(
    visitor: Visitor, provider: Issuer, shop: Served
) -> None:
    """A page that needs a login leads to the provider and back, logged in as whom it names.

    No script can read the session's cookie; logging out ends the session, not the cookie alone.
    """
    page = visitor.open("/account")
    assert page.url == f"{shop.url}/login?next=/account"
    assert not darkness(page)
    assert answer(visitor, provider, ALLOW).status == 303
    page.wait_for_url(f"{shop.url}/account")
    expect(page.get_by_role("heading", level=1)).to_have_text(WHO)
    expect(page.get_by_role("navigation").get_by_role("link", name=WHO)).to_be_visible()
    # What was kept for the way is gone by now.
    (kept,) = visitor.context.cookies(shop.url)
    assert (kept["name"], kept["httpOnly"], kept["sameSite"]) == ("pypicloud", True, "Lax")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url(f"{shop.url}/login")
    expect_stranger(visitor)
    visitor.context.add_cookies([{"name": kept["name"], "value": kept["value"], "url": shop.url}])
    visitor.open("/account")
    assert page.url == f"{shop.url}/login?next=/account"
    assert elsewhere(visitor) == {provider.document["authorization_endpoint"]}
    assert visitor.complaints == []


def test_whoever_refuses_at_the_provider_is_told_and_may_try_again(
    visitor: Visitor, provider: Issuer, shop: Served
) -> None:
    """Who comes back with an error is not logged in; a page of ours says so, and leads on."""
    visitor.open("/login")
    assert answer(visitor, provider, REFUSE).status == 403
    page = visitor.page
    page.wait_for_url(f"{shop.url}/login/sso/callback?error=access_denied&*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not logged in")
    expect(page.get_by_role("alert")).to_be_visible()
    assert visitor.barriers() == []
    page.get_by_role("link", name="Try again").click()
    page.wait_for_url(f"{shop.url}/login?next=/account")
    expect_stranger(visitor)
    assert answer(visitor, provider, ALLOW).status == 303
    page.wait_for_url(f"{shop.url}/account")
    expect(page.get_by_role("heading", level=1)).to_have_text(WHO)


def test_the_login_is_one_for_phones_in_the_dark(
    chromium: Browser, provider: Issuer, shop: Served
) -> None:
    """On a small dark screen one gets to the provider and back to where one was.

    Nothing is too wide or too bright, axe finds no barrier, and no script complains.
    """
    with visiting(chromium, shop.url, size="phone", theme="dark") as visitor:
        page = visitor.open("/upload")
        assert page.url == f"{shop.url}/login?next=/upload"
        assert (visitor.barriers(), visitor.too_wide, darkness(page)) == ([], False, True)
        assert answer(visitor, provider, ALLOW).status == 303
        page.wait_for_url(f"{shop.url}/upload")
        visitor.open("/account")
        expect(page.get_by_role("heading", level=1)).to_have_text(WHO)
        assert (visitor.barriers(), visitor.too_wide, darkness(page)) == ([], False, True)
        page.get_by_role("button", name="Log out", exact=True).click()
        page.wait_for_url(f"{shop.url}/login")
        expect_stranger(visitor)
        assert elsewhere(visitor) == {provider.document["authorization_endpoint"]}
        assert visitor.complaints == []
