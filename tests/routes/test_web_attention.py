"""What the start page says needs attention, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event

from app.access.tokens import make
from app.models import Permission, Scope
from app.upstream.options import UpstreamOptions
from tests.routes.site import ADMIN, PASSWORD, Site, site
from tests.routes.test_account import missing
from tests.routes.test_web_acts import Browser, browsing, published
from tests.servers import upstream as upstreams
from tests.servers.upstream import Sent

HEADING = '<h2 id="attention">'
LIMITS = {"logins": 0, "all_logins": 0, "registrations": 0}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    """A service where everybody may read."""
    everyone = frozenset({"everyone"})
    with site(tmp_path, limits=LIMITS, default_read=everyone) as running:
        running.user("keeper")
        running.user("reader")
        yield running


@contextmanager
def keeper(place: Site, name: str = "keeper") -> Iterator[Browser]:
    """The browser of somebody who is no admin."""
    with browsing(place, (name, PASSWORD)) as found:
        yield found


def attention(browser: Browser | httpx.Client) -> list[dict[str, Any]]:
    """What the page says as JSON."""
    client = browser.client if isinstance(browser, Browser) else browser
    answer = client.get("/", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["attention"]
    return found


def one(kind: str, url: str, *, count: int = 0, text: str = "") -> dict[str, Any]:
    """Something that needs attention."""
    return {"kind": kind, "url": url, "count": count, "text": text}


def own_token(place: Site, owner: str, left: timedelta) -> None:
    """Somebody has a token that ends so long from now."""
    known = place.access(lambda access: access.known(owner))
    assert known is not None
    token, _ = make(
        "u",
        scope=Scope(permissions=frozenset({Permission.READ}), projects={"*": None}),
        now=datetime.now(UTC),
        lifetime=left,
        owner=owner,
        owner_stamp=known.stamp,
    )
    place.ledger(lambda ledger: ledger.tokens.add(token))


def quarantine(place: Site, name: str) -> None:
    """Put a project that the keeper manages in quarantine."""
    published(place, name)
    grant = {"permissions": ["read"]}
    path = f"/api/v1/projects/{name}"
    place.ask("PUT", f"{path}/grants/user:reader", auth=ADMIN, json=grant).raise_for_status()
    place.ask("PATCH", path, auth=ADMIN, json={"status": "quarantined"}).raise_for_status()


def test_where_nothing_is_wrong_nothing_is_said(place: Site) -> None:
    """Neither to an admin nor to anybody else."""
    place.publish("fine")
    own_token(place, "keeper", timedelta(days=60))
    for who in (ADMIN, ("keeper", PASSWORD)):
        with browsing(place, who) as browser:
            assert attention(browser) == []
            assert HEADING not in browser.get("/").text


def test_the_anonymous_are_told_nothing_and_nothing_is_asked_for_them(place: Site) -> None:
    """Whatever is wrong: no people, tokens or reindex are looked for."""
    quarantine(place, "held")
    place.ask("PUT", "/api/v1/registrations", auth=ADMIN, json={"open": True}).raise_for_status()
    body = {"name": "hopeful", "password": PASSWORD}
    place.ask("POST", "/api/v1/registrations", json=body).raise_for_status()
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        private = ("access_users", "ledger_tokens", "ledger_sessions")
        asked.extend(name for name in private if name in statement)

    with httpx.Client(base_url=place.url, timeout=60) as nobody:
        event.listen(Engine, "before_cursor_execute", note)
        try:
            assert attention(nobody) == []
            page = nobody.get("/", headers={"Accept": "text/html"}).text
            assert asked == []
            token = place.token(permissions=["read"], admin=True)["token"]
            answer = nobody.get(
                "/", headers={"Accept": "application/json"}, auth=("__token__", token)
            )
        finally:
            event.remove(Engine, "before_cursor_execute", note)
    assert HEADING not in page
    # What a token is made for is not this either.
    assert answer.json()["attention"] == []
    with browsing(place) as admin:
        assert {found["kind"] for found in attention(admin)} == {"registrations", "quarantined"}


def test_registrations_wait_for_an_admin(place: Site) -> None:
    """Counted, with the way to them; nobody else learns of them."""
    place.ask("PUT", "/api/v1/registrations", auth=ADMIN, json={"open": True}).raise_for_status()
    for count, name in enumerate(("hopeful", "hopeless"), 1):
        body = {"name": name, "password": PASSWORD}
        place.ask("POST", "/api/v1/registrations", json=body).raise_for_status()
        with browsing(place) as admin:
            assert attention(admin) == [one("registrations", "/admin#pending", count=count)]
    with browsing(place) as admin:
        page = admin.get("/").text
        assert HEADING in page
        assert "2 registrations wait for approval." in page
        assert 'href="/admin#pending"' in page
        assert page.index(HEADING) < page.index("Upload and install")
        japanese = admin.client.get("/?lang=ja", headers={"Accept": "text/html"}).text
        assert "2 件の登録が承認を待っています。" in japanese
    with keeper(place) as other:
        assert attention(other) == []


def test_own_tokens_that_end_are_told_of(place: Site) -> None:
    """Those that end within two weeks, and those that have ended; of others' none."""
    for left in (timedelta(days=13), timedelta(days=2), timedelta(days=15), -timedelta(hours=1)):
        own_token(place, "keeper", left)
    with keeper(place) as browser:
        assert attention(browser) == [
            one("tokens-ended", "/account", count=1),
            one("tokens-ending", "/account", count=2),
        ]
        page = browser.get("/").text
        assert "1 token of yours has ended." in page
        assert "2 tokens of yours end within 14 days." in page
    with browsing(place) as admin, keeper(place, "reader") as reader:
        assert attention(admin) == attention(reader) == []


def test_projects_in_quarantine_are_told_of_to_whoever_manages_them(place: Site) -> None:
    """A few by name; many are counted. Whoever may only read learns nothing here."""
    quarantine(place, "bad-one")
    with keeper(place) as browser, keeper(place, "reader") as reader, browsing(place) as admin:
        told = [one("quarantined", "/project/bad-one/manage", text="bad-one")]
        assert attention(browser) == attention(admin) == told
        assert "bad-one, which you manage, is in quarantine." in browser.get("/").text
        assert attention(reader) == []
        for number in range(5):
            quarantine(place, f"more-{number}")
        url = "/search?status=quarantined"
        assert attention(browser) == [one("quarantined-many", url, count=6)]
        assert "6 projects that you manage are in quarantine." in browser.get("/").text
        assert attention(reader) == []


def test_journals_that_a_reindex_could_not_read_are_told_of(tmp_path: Path) -> None:
    """To admins, with their number."""
    packages = tmp_path / "packages"
    with site(tmp_path, storage=f"file:{packages}", limits=LIMITS) as place:
        made = place.publish("torn")
    (journal,) = (packages / "journal" / "torn" / made.filename).iterdir()
    journal.write_bytes(b"nonsense")
    # A new cache is built from what the storage has.
    with site(tmp_path, storage=f"file:{packages}", limits=LIMITS) as place:
        place.user("keeper")
        with browsing(place) as admin, keeper(place) as other:
            assert attention(admin) == [one("journals", "/admin", count=1)]
            page = admin.get("/").text
            assert attention(other) == []
    assert "1 journal is broken, as the latest reindex found." in page


def test_upstreams_that_are_left_alone_are_told_of(tmp_path: Path) -> None:
    """To admins, by name."""
    with upstreams.running() as failing:
        failing.fault = lambda asked, sent: Sent(500)
        elsewhere = UpstreamOptions.of({"url": failing.simple, "name": "far", "policy": "cache"})
        with site(tmp_path, limits=LIMITS, upstreams=(elsewhere,)) as place:
            for number in range(5):
                place.ask("GET", f"/simple/unknown{number}/", auth=ADMIN)
            place.user("keeper")
            with browsing(place) as admin, keeper(place) as other:
                assert attention(admin) == [one("upstream", "/admin/upstreams", text="far")]
                assert "The upstream far fails" in admin.get("/").text
                assert attention(other) == []


def test_a_source_that_fails_hides_no_other(place: Site) -> None:
    """The page is there, says what cannot be asked, and tells of the rest."""
    quarantine(place, "held")
    with keeper(place) as browser:
        with missing(place, "pypicloud_ledger_tokens"):
            told = attention(browser)
            page = browser.get("/")
        assert one("unasked", "/account", text="tokens") in told
        assert one("quarantined", "/project/held/manage", text="held") in told
        assert page.status_code == 200
        assert "tokens cannot be asked." in page.text
        assert one("unasked", "/account", text="tokens") not in attention(browser)


def test_parts_that_are_not_ready_are_told_of(place: Site) -> None:
    """To admins, each with its word."""
    with browsing(place) as admin:
        with missing(place, "access_grants"):
            told = attention(admin)
            page = admin.get("/").text
        assert told == [one("part", "/admin", text="access: unavailable")]
        assert "Not ready: access: unavailable." in page
        assert attention(admin) == []
