"""Sessions: begun by a password, bound to it, carried by a cookie that no other site can use."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.access import sessions
from app.access.ledger import Ledger
from app.access.sql import SqlAccess, connect
from app.config import Settings
from app.main import create_app
from app.routes import browsing
from tests.conftest import ADMIN
from tests.routes.site import site
from tests.serving import Served, serving_ready

NEW = "quite another passphrase"


class Browser:
    """What a browser does: it keeps cookies, and says where a form stands."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.origin = str(client.base_url).rstrip("/")

    def get(self, path: str) -> httpx.Response:
        """Look at a page."""
        return self.client.get(path)

    def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of ours."""
        headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        return self.client.post(path, data=fields, headers=headers)

    def log_in(self, password: str = ADMIN[1], **more: str) -> httpx.Response:
        """Log in as the admin."""
        return self.send("/login", username=ADMIN[0], password=password, **more)

    @property
    def csrf(self) -> str:
        """What the forms of the account page carry."""
        match = re.search(r'name="csrf" value="([^"]+)"', self.get("/account").text)
        assert match is not None
        return match[1]


@contextmanager
def browsing_at(served: Served) -> Iterator[Browser]:
    """A browser with no cookies yet."""
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield Browser(client)


@pytest.fixture
def browser(service: Served) -> Iterator[Browser]:
    """A browser at the service."""
    with browsing_at(service) as browser:
        yield browser


def test_a_session_begins_with_the_right_password(browser: Browser) -> None:
    """The cookie is for this host, out of scripts' reach, and not for other sites."""
    assert browser.get("/account").headers["location"] == "/login?next=/account"
    answer = browser.log_in(next="/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("pypicloud=")
    for attribute in ("httponly", "path=/", "samesite=lax", "max-age=604800"):
        assert attribute in cookie
    page = browser.get("/account")
    assert page.status_code == 200
    assert ">admin</h1>" in page.text
    assert page.headers["cache-control"] == "no-store"


def test_the_pages_have_a_strict_policy(browser: Browser) -> None:
    """No script or style within them, nothing from elsewhere, no frame around them (T22)."""
    browser.log_in()
    for path in ("/login", "/account"):
        page = browser.get(path)
        policy = page.headers["content-security-policy"]
        assert policy == browsing.POLICY
        assert "'unsafe" not in policy
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]* src=)", page.text)
        for asset in re.findall(r'(?:href|src)="(/assets/[^"]+)"', page.text):
            assert browser.get(asset).status_code == 200


def test_a_wrong_password_begins_nothing(browser: Browser) -> None:
    """The same answer for an unknown user, and no challenge that browsers would take up."""
    wrong = [
        ("admin", "wrong"),
        ("nobody", ADMIN[1]),
        ("", ""),
        ("a\0", "x"),
        ("admin", "x" * 5000),
    ]
    for username, password in wrong:
        answer = browser.send("/login", username=username, password=password)
        assert answer.status_code == 400
        assert "Unknown user or wrong password." in answer.text
        assert "set-cookie" not in answer.headers
        assert "www-authenticate" not in answer.headers


def test_guesses_are_limited(browser: Browser) -> None:
    """Ten in five minutes from one address (T18)."""
    statuses = [browser.log_in(f"wrong {n}").status_code for n in range(12)]
    assert statuses == [400] * 10 + [429] * 2


ELSEWHERE: tuple[dict[str, str], ...] = (
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "{own}"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "none"},
)


def test_a_form_on_another_site_does_nothing(browser: Browser) -> None:
    """Neither a login nor anything else, whatever cookies come along (T22)."""
    login = {"username": ADMIN[0], "password": ADMIN[1]}
    browser.log_in()
    csrf = browser.csrf
    for told in ELSEWHERE:
        headers = {name: value.format(own=browser.origin) for name, value in told.items()}
        assert browser.client.post("/login", data=login, headers=headers).status_code == 403
        for path in ("/logout", "/account/tokens", "/account/password"):
            answer = browser.client.post(path, data={"csrf": csrf}, headers=headers)
            assert answer.status_code == 403, (path, headers)
    assert browser.get("/account").status_code == 200


def test_a_form_without_the_sessions_token_does_nothing(browser: Browser) -> None:
    """Missing, of another session, or twice."""
    browser.log_in()
    former = browser.csrf
    browser.log_in()
    assert browser.csrf != former
    for csrf in ("", "x", former, "é"):
        assert browser.send("/logout", csrf=csrf).status_code == 403
    headers = {"Origin": browser.origin, "Content-Type": "application/x-www-form-urlencoded"}
    twice = f"csrf={browser.csrf}&csrf=x"
    assert browser.client.post("/logout", content=twice, headers=headers).status_code == 400
    for body in ("csrf=%ff", "a&" * 200, "x" * 70_000):
        answer = browser.client.post("/logout", content=body, headers=headers)
        assert answer.status_code in (400, 403, 413)
    assert browser.get("/account").status_code == 200


def test_each_login_in_a_browser_is_an_entry(service: Served) -> None:
    """The first of an hour as those after it, once each: every one of them began a session."""
    for count in (1, 2, 3):
        with browsing_at(service) as browser:
            assert browser.log_in().status_code == 303
        audit = httpx.get(f"{service.url}/api/v1/audit?action=auth.login.ok", auth=ADMIN)
        mine = [one for one in audit.json()["entries"] if one["target"] == "user:admin"]
        # The question itself is a login by password, the first of which is told of as well.
        assert count <= len(mine) <= count + 1


def test_a_login_gives_a_new_secret_and_ends_the_former_session(service: Served) -> None:
    """Whoever planted a cookie gains nothing (fixation)."""
    with browsing_at(service) as victim, browsing_at(service) as thief:
        planted = "x" * 43
        victim.client.cookies.set("pypicloud", planted)
        victim.log_in()
        secret = victim.client.cookies.get("pypicloud", domain="127.0.0.1")
        assert secret not in (None, planted)
        victim.client.cookies.clear()
        victim.client.cookies.set("pypicloud", str(secret))
        victim.log_in()
        thief.client.cookies.set("pypicloud", str(secret))
        assert thief.get("/account").status_code == 303


def test_logging_out_ends_this_session_or_all(service: Served) -> None:
    """The cookie is worth nothing any more, on other browsers too where that was asked."""
    with browsing_at(service) as one, browsing_at(service) as two:
        one.log_in()
        two.log_in()
        kept = dict(one.client.cookies)
        assert one.send("/logout", csrf=one.csrf).headers["location"] == "/login"
        one.client.cookies.update(kept)
        assert one.get("/account").status_code == 303
        assert two.get("/account").status_code == 200
        one.client.cookies.clear()
        one.log_in()
        one.send("/logout", csrf=one.csrf, everywhere="yes")
        assert two.get("/account").status_code == 303


def test_another_password_ends_every_session_but_this(service: Served) -> None:
    """And the present one must be known."""
    with browsing_at(service) as one, browsing_at(service) as two:
        one.log_in()
        two.log_in()
        wrong = one.send("/account/password", csrf=one.csrf, present="x", password=NEW, again=NEW)
        assert (wrong.status_code, "present password is wrong" in wrong.text) == (400, True)
        for new, again in ((NEW, NEW + "x"), ("short", "short")):
            fields = {"present": ADMIN[1], "password": new, "again": again}
            assert one.send("/account/password", csrf=one.csrf, **fields).status_code == 400
        fields = {"present": ADMIN[1], "password": NEW, "again": NEW}
        assert one.send("/account/password", csrf=one.csrf, **fields).status_code == 303
        assert one.get("/account").status_code == 200
        assert two.get("/account").status_code == 303
        assert two.log_in().status_code == 400
        assert two.log_in(NEW).status_code == 303


def test_a_token_is_made_shown_once_and_revoked(browser: Browser) -> None:
    """With the rights, the projects and the end that were chosen."""
    browser.log_in()
    fields = {"name": "<b>ci</b>", "projects": "spam, corp-*", "permission": "read", "days": "7"}
    made = browser.send("/account/tokens", csrf=browser.csrf, **fields)
    assert made.headers["cache-control"] == "no-store"
    match = re.search(r'value="(pypi-ppc[^"]+)"', made.text)
    assert match is not None
    token = match[1]
    auth = ("__token__", token)
    assert browser.client.get("/simple/", auth=auth).status_code == 200
    page = browser.get("/account").text
    assert token not in page
    assert "&lt;b&gt;ci&lt;/b&gt;" in page
    assert "corp-*, spam" in page
    (path,) = re.findall(r'action="(/account/tokens/[^"]+/revoke)"', page)
    assert browser.send(path, csrf=browser.csrf).status_code == 303
    assert browser.client.get("/simple/", auth=auth).status_code == 401
    assert browser.send(path, csrf=browser.csrf).status_code == 404
    for wrong in ({"days": "0"}, {"days": "x"}, {"days": "9" * 30}, {"projects": "a b"}):
        answer = browser.send("/account/tokens", csrf=browser.csrf, **{**fields, **wrong})
        assert answer.status_code == 400, wrong
    no_right = {"name": "x", "projects": "*", "days": "1"}
    assert browser.send("/account/tokens", csrf=browser.csrf, **no_right).status_code == 400


def test_a_token_does_not_log_in(browser: Browser) -> None:
    """It is for tools."""
    browser.log_in()
    made = browser.send(
        "/account/tokens", csrf=browser.csrf, name="x", permission="read", days="1", projects="*"
    )
    match = re.search(r'value="(pypi-ppc[^"]+)"', made.text)
    assert match is not None
    browser.client.cookies.clear()
    assert browser.log_in(match[1]).status_code == 400
    assert browser.get("/account").status_code == 303


def test_a_page_of_ours_may_call_the_api(browser: Browser) -> None:
    """With the session's token from our own origin; otherwise the cookie counts for nothing."""
    browser.log_in()
    own = {"X-CSRF-Token": browser.csrf, "Origin": browser.origin}
    path = "/api/v1/tokens"
    assert browser.client.get(path, headers=own).status_code == 200
    fetched = {"X-CSRF-Token": own["X-CSRF-Token"], "Sec-Fetch-Site": "same-origin"}
    assert browser.client.get(path, headers=fetched).status_code == 200
    for headers in (
        {},
        {"Origin": browser.origin},
        {"X-CSRF-Token": own["X-CSRF-Token"]},
        {**own, "X-CSRF-Token": "x"},
        {**own, "Origin": "https://evil.example"},
        {**fetched, "Sec-Fetch-Site": "cross-site"},
    ):
        assert browser.client.get(path, headers=headers).status_code == 401, headers
    assert browser.client.get("/simple/", headers=own).status_code == 401


def test_looking_at_pages_changes_nothing(browser: Browser) -> None:
    """Every path of a form answers 405 to GET, and the session goes on."""
    browser.log_in()
    own = (
        *("tokens", "tokens/x/revoke", "password", "sessions/x/end"),
        *("publishers", "publishers/x/remove"),
    )
    for path in ("/logout", *(f"/account/{one}" for one in own)):
        assert browser.get(path).status_code == 405, path
    assert browser.get("/account").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "/\\evil.example", "https://evil.example", "\\\\evil", "evil", ""),
        *("/\t/evil.example", "/\n/evil", "javascript:alert(1)", "/a b", "/é", "/..//evil\\x"),
    ],
)
def test_only_paths_of_ours_are_gone_on_to(path: str) -> None:
    """No redirect leaves the site, whatever ``next`` says."""
    assert browsing.local(path) == "/account"
    assert browsing.local("/project/spam/?x=1") == "/project/spam/?x=1"


def test_next_leads_back_and_nowhere_else(browser: Browser) -> None:
    """In the form and in the answer."""
    assert 'value="/account"' in browser.get("/login?next=//evil.example").text
    assert browser.log_in(next="//evil.example/").headers["location"] == "/account"
    assert browser.log_in(next="/simple/").headers["location"] == "/simple/"


def test_over_https_the_cookie_is_bound_to_the_host(settings: Settings) -> None:
    """``__Host-`` and Secure; over plain http from elsewhere nobody logs in."""
    changed = {"trusted_proxies": ("127.0.0.1/32",), "public_url": "https://pypi.example.com"}
    login = {"username": ADMIN[0], "password": ADMIN[1]}
    told = {"Host": "pypi.example.com", "Origin": "https://pypi.example.com"}
    secure = {**told, "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
    chosen = Settings(**{**settings.model_dump(), **changed})
    with (
        serving_ready(create_app(chosen)) as served,
        httpx.Client(base_url=served.url, timeout=60) as client,
    ):
        answer = client.post("/login", data=login, headers=secure)
        assert answer.status_code == 303
        assert answer.headers["set-cookie"].startswith("__Host-pypicloud=")
        assert "; secure" in answer.headers["set-cookie"].lower()
        plain = {**secure, "X-Forwarded-Proto": "http"}
        assert client.post("/login", data=login, headers=plain).status_code == 403


@pytest.fixture
async def access(tmp_path: Path) -> AsyncIterator[SqlAccess]:
    """Users in a file, with a hash that costs little."""
    where = f"sqlite+aiosqlite:///{tmp_path}/access.db"
    async with connect(where, {"password_memory": 64, "password_passes": 1}) as opened:
        await opened.add_user("alice", NEW)
        yield opened


async def _visit(access: SqlAccess, secret: str, now: datetime) -> sessions.Visit | None:
    ledger: Ledger = access.ledger
    return await sessions.visit(secret, ledger.sessions, access, now)


async def test_a_session_ends_by_itself(access: SqlAccess) -> None:
    """After twelve hours unused, after seven days in any case."""
    identity = await access.known("alice")
    assert identity is not None
    begun = datetime.now(UTC)
    session, secret = sessions.begin(identity, begun)
    await access.ledger.sessions.add(session)
    now = begun
    while now + timedelta(hours=11) < begun + sessions.WHOLE:
        now += timedelta(hours=11)
        assert await _visit(access, secret, now) is not None
    assert await _visit(access, secret, begun + sessions.WHOLE) is None
    session, secret = sessions.begin(identity, begun)
    await access.ledger.sessions.add(session)
    assert await _visit(access, secret, begun + sessions.IDLE) is None
    assert await _visit(access, secret, begun) is None


@pytest.mark.parametrize("change", ["password", "disable", "delete", "again"])
async def test_a_session_ends_with_what_it_was_begun_with(access: SqlAccess, change: str) -> None:
    """Another password, a disabled user, one of the same name that is somebody else."""
    identity, now = await access.known("alice"), datetime.now(UTC)
    assert identity is not None
    session, secret = sessions.begin(identity, now)
    await access.ledger.sessions.add(session)
    assert await _visit(access, secret, now) is not None
    if change == "password":
        await access.set_password("alice", NEW + "!")
    elif change == "disable":
        await access.set_disabled("alice", True)
        await access.set_disabled("alice", False)
    else:
        await access.delete_user("alice")
        if change == "again":
            await access.add_user("alice", NEW)
    assert await _visit(access, secret, now) is None


async def test_what_is_kept_of_a_session_is_not_its_secret(access: SqlAccess) -> None:
    """Two hundred and fifty-six bits, kept as a digest; nonsense finds nothing."""
    identity, now = await access.known("alice"), datetime.now(UTC)
    assert identity is not None
    session, secret = sessions.begin(identity, now, agent="x" * 500 + "\n")
    assert len(secret) >= 43
    assert secret not in repr(session)
    assert len(session.agent) == 200
    for text in ("", "x", session.digest, "\ud800" * 30, "x" * 10_000):
        assert await _visit(access, text, now) is None


MATTERS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("PUT", "/api/v1/users/alice", {"password": NEW}),
    ("DELETE", "/api/v1/users/alice", {}),
    ("PUT", "/api/v1/groups/ops", {}),
    ("PUT", "/api/v1/registrations", {"open": True}),
    ("POST", "/api/v1/reindex", {}),
    ("POST", "/api/v1/tokens", {"name": "x", "permissions": ["read"]}),
    ("POST", "/api/v1/tokens/x/rotate", {}),
    ("PUT", "/api/v1/projects/flask/grants/user:alice", {"permissions": ["read"]}),
    ("DELETE", "/api/v1/projects/flask/grants/user:alice", {}),
    ("POST", "/api/v1/projects/flask/publishers", {"provider": "github"}),
    ("DELETE", "/api/v1/projects/flask/publishers/x", {}),
)
"""What a session may do only soon after its login (7.3)."""


def test_a_login_long_ago_changes_nothing_that_matters(tmp_path: Path) -> None:
    """An admin's work, tokens, grants and publishers need a login of the last half hour."""
    with site(tmp_path) as place, httpx.Client(base_url=place.url, timeout=60) as client:
        browser = Browser(client)
        browser.log_in()
        own = {"X-CSRF-Token": browser.csrf, "Origin": browser.origin}
        login = "Your login is too long ago for this; log in again."

        def answers() -> list[bool]:
            """Of each, whether it was refused for that."""
            return [
                login in client.request(method, path, json=body, headers=own).text
                for method, path, body in MATTERS
            ]

        assert answers() == [False] * len(MATTERS)

        async def grow_old(ledger: Ledger) -> None:
            (session,) = await ledger.sessions.of(ADMIN[0])
            await ledger.sessions.end(session.digest)
            long_ago = session.proved - timedelta(minutes=31)
            await ledger.sessions.add(replace(session, proved=long_ago))

        place.ledger(grow_old)
        assert answers() == [True] * len(MATTERS)
        for path in ("/api/v1/users", "/api/v1/tokens", "/api/v1/audit"):
            assert client.get(path, headers=own).status_code == 200
        assert place.ask("PUT", "/api/v1/groups/ops", auth=ADMIN).status_code == 200
        browser.log_in()
        own["X-CSRF-Token"] = browser.csrf
        assert answers() == [False] * len(MATTERS)


def test_pages_say_when_to_come_back(browser: Browser) -> None:
    """A login and a change of password that come too often: 429, and when, in whole seconds."""
    browser.log_in()
    fields = {"csrf": browser.csrf, "password": NEW, "again": NEW}
    statuses = [
        browser.send("/account/password", present=f"wrong {n}", **fields) for n in range(11)
    ]
    assert [answer.status_code for answer in statuses] == [400] * 10 + [429]
    assert statuses[-1].headers["retry-after"] == "300"
    browser.client.cookies.clear()
    answer = browser.log_in("still wrong")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "300")
