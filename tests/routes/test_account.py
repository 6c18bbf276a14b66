"""What people do at their account: end single sessions, look after trusted publishers."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.access.ledger import Entry, Ledger
from app.access.oidc.options import IssuerOptions
from tests.routes.site import ADMIN, PASSWORD, Site, site
from tests.routes.test_sso import leave, served
from tests.routes.test_web_acts import HTML, Browser, browsing, published
from tests.servers import issuer as issuers

KEEPER, READER = ("keeper", PASSWORD), ("reader", PASSWORD)
PUBLISHER = {"provider": "github", "repository": "octo/spam", "workflow": "release.yml"}
SECTION = '<h2 id="publishers">'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with somebody who manages what ``published`` makes, and somebody who reads."""
    folder = tmp_path_factory.mktemp("account")
    claimers = frozenset({"user:keeper"})
    limits = {"logins": 0, "all_logins": 0}
    with site(folder, limits=limits, default_write=claimers) as running:
        running.user("keeper")
        running.user("reader")
        yield running


@pytest.fixture
def keeper(place: Site) -> Iterator[Browser]:
    """The keeper's browser."""
    with browsing(place, KEEPER) as found:
        yield found


def send(browser: Browser, path: str, **fields: str) -> httpx.Response:
    """Send a form of the account page."""
    sent = {"csrf": browser.csrf, **fields}
    return browser.client.post(f"/account/{path}", data=sent, headers={**browser.own, **HTML})


def ends(browser: Browser) -> list[str]:
    """The sessions that the page offers to end."""
    page = browser.client.get("/account").text
    return re.findall(r'action="/account/sessions/(\w+)/end"', page)


def register(place: Site, project: str, **changed: str) -> str:
    """A publisher of a project, by the admin; its id."""
    path = f"/api/v1/projects/{project}/publishers"
    answer = place.ask("POST", path, auth=ADMIN, json={**PUBLISHER, **changed})
    assert answer.status_code == 201, answer.text
    id: str = answer.json()["id"]
    return id


def listed(place: Site, project: str) -> list[str]:
    """The ids of a project's publishers."""
    path = f"/api/v1/projects/{project}/publishers"
    return [one["id"] for one in place.ask("GET", path, auth=ADMIN).json()]


def left(place: Site, after: int) -> list[Entry]:
    """What stands in the trail since; logins are noted beside the requests."""
    return [one for one in place.trail(after=after) if not one.action.startswith("auth.")]


def grow_old(place: Site, user: str) -> None:
    """Have the logins of a user be more than half an hour ago."""

    async def change(ledger: Ledger) -> None:
        for session in await ledger.sessions.of(user):
            await ledger.sessions.end(session.digest)
            long_ago = session.proved - timedelta(minutes=31)
            await ledger.sessions.add(replace(session, proved=long_ago))

    place.ledger(change)


@contextmanager
def missing(place: Site, table: str) -> Iterator[None]:
    """The database has lost a table for a while, which no other part of it needs."""
    file = place.users.partition("///")[2]
    with closing(sqlite3.connect(file, timeout=30)) as database:
        database.execute(f"ALTER TABLE {table} RENAME TO away")
        database.commit()
        try:
            yield
        finally:
            database.execute(f"ALTER TABLE away RENAME TO {table}")
            database.commit()


def test_one_session_is_ended_and_no_other(place: Site, keeper: Browser) -> None:
    """That browser is logged out at once, this one goes on; it is in the trail, without secrets."""
    place.ledger(lambda ledger: ledger.sessions.end_all("keeper"))
    with browsing(place, KEEPER) as here, browsing(place, KEEPER) as lost:
        with browsing(place, KEEPER) as third:
            assert len(ends(here)) == 2
            own = set(ends(lost)) - set(ends(here))
            (id,) = set(ends(third)) & set(ends(here))
            assert own.isdisjoint({id})
            before = place.trail()[-1].number
            assert send(here, f"sessions/{id}/end").headers["location"] == "/account"
            assert lost.client.get("/account").status_code == 303
            assert third.client.get("/account").status_code == 200
            assert here.client.get("/account").status_code == 200
        assert id not in ends(here)
        entries = left(place, before)
        assert [(one.action, one.target) for one in entries] == [("session.end", f"session:{id}")]
        assert entries[0].actor is not None
        assert entries[0].actor.id == "keeper"
        assert entries[0].before is not None
        assert set(entries[0].before) == {"created", "agent"}
        assert send(here, f"sessions/{id}/end").status_code == 404


def test_the_own_session_ends_by_logging_out(place: Site) -> None:
    """It is marked, and has no button; a form that names it is refused."""
    place.user("alone")
    with browsing(place, ("alone", PASSWORD)) as browser:
        page = browser.client.get("/account").text
        assert "this one" in page
        assert ends(browser) == []
        (session,) = place.ledger(lambda ledger: ledger.sessions.of("alone"))
        assert send(browser, f"sessions/{session.digest[:16]}/end").status_code == 400
        assert browser.client.get("/account").status_code == 200


def test_sessions_of_others_are_out_of_reach(place: Site, keeper: Browser) -> None:
    """So is one that is none, and a form that is not of this session does nothing (T22)."""
    with browsing(place, READER) as reader:
        (session,) = place.ledger(lambda ledger: ledger.sessions.of("reader"))
        for id in (session.digest[:16], session.digest, "none", "x" * 64):
            assert send(keeper, f"sessions/{id}/end").status_code == 404, id
        assert keeper.client.get("/account/sessions/x/end").status_code == 405
        with browsing(place, READER):
            (other,) = ends(reader)
            path = f"/account/sessions/{other}/end"
            for headers in ({}, {"Origin": "https://evil.example"}):
                form = {"csrf": reader.csrf}
                assert reader.client.post(path, data=form, headers=headers).status_code == 403
            answer = reader.client.post(path, data={"csrf": "x"}, headers=reader.own)
            assert answer.status_code == 403
            assert ends(reader) == [other]


@pytest.mark.parametrize("made", [True, False])
def test_whoever_single_sign_on_makes_is_told_of_their_password(tmp_path: Path, made: bool) -> None:
    """Beside the form that asks for it, where users are made so; elsewhere nothing is said."""
    said = "made a user by single sign-on has no password here"
    with issuers.running() as provider:
        provider.login = {"preferred_username": "carol" if made else "admin", "sub": "1"}
        with served(tmp_path, provider, create_users=made, link_users=not made) as browser:
            assert browser.get(leave(browser)).status_code == 303
            assert (said in browser.get("/account").text) is made


def test_the_publishers_of_what_one_manages_are_listed(place: Site, keeper: Browser) -> None:
    """With their conditions and the way to their project; not those of others."""
    published(place, "spam")
    place.publish("hidden")
    place.ask("DELETE", "/api/v1/projects/hidden/grants/user:keeper", auth=ADMIN)
    mine = register(place, "spam", environment="release")
    other = register(place, "hidden", repository="octo/hidden")
    page = keeper.client.get("/account").text
    assert f'action="/account/publishers/{mine}/remove"' in page
    assert 'href="/project/spam/manage"' in page
    for text in ("repository octo/spam", "workflow release.yml", "environment release", "github"):
        assert text in page
    assert other not in page
    assert "octo/hidden" not in page
    with browsing(place) as admin:
        page = admin.client.get("/account").text
        assert mine in page
        assert other in page


def test_whoever_manages_nothing_sees_no_such_section(place: Site) -> None:
    """Nor does anybody where no issuer is trusted."""
    published(place, "kept")
    with browsing(place, READER) as reader:
        assert SECTION not in reader.client.get("/account").text
    with browsing(place, KEEPER) as keeper:
        assert SECTION in keeper.client.get("/account").text


def test_without_issuers_there_are_no_publishers(tmp_path: Path) -> None:
    """The section is not there, whoever looks, and nothing can be added."""
    with site(tmp_path, oidc_issuers=()) as place:
        place.publish("spam")
        with browsing(place) as admin:
            assert SECTION not in admin.client.get("/account").text
            answer = send(admin, "publishers", name="spam", **PUBLISHER)
            assert answer.status_code == 400
            assert "not enabled here" in answer.text


def test_a_form_is_there_for_each_provider_that_is_trusted(tmp_path: Path) -> None:
    """With the issuer to choose where there are several; what no form can say is the API's."""
    said = "Publishers of the provider custom are added by the API."
    own = ("https://gitlab.corp.example", "https://issuer.corp.example")
    trusted = tuple(IssuerOptions(issuer=url) for url in ("https://gitlab.com", *own))
    with site(tmp_path, oidc_issuers=trusted) as place:
        place.publish("kit")
        with browsing(place) as admin:
            page = admin.client.get("/account").text
            assert "Trust builds at GitLab" in page
            assert all(f"<option>{url}</option>" in page for url in own)
            assert said in page
            gitlab = {"provider": "gitlab", "project": "group/kit", "workflow": ".gitlab-ci.yml"}
            answer = send(admin, "publishers", name="kit", issuer=own[0], **gitlab)
            assert answer.status_code == 303
            path = "/api/v1/projects/kit/publishers"
            (publisher,) = place.ask("GET", path, auth=ADMIN).json()
            assert publisher["issuer"] == own[0]
            assert publisher["conditions"]["project"] == "group/kit"
    with site(tmp_path, oidc_issuers=trusted[:1]) as place, browsing(place) as admin:
        place.publish("kit")
        page = admin.client.get("/account").text
        assert "Trust builds at GitLab" in page
        assert said not in page
        assert "<option>" not in page


def test_a_publisher_is_removed(place: Site, keeper: Browser) -> None:
    """As by the API: one entry, with what it was. Those of others stay, and say so."""
    published(place, "removed")
    place.publish("foreign")
    id, foreign = register(place, "removed"), register(place, "foreign")
    before = place.trail()[-1].number
    answer = send(keeper, f"publishers/{id}/remove")
    assert answer.headers["location"] == "/account"
    assert listed(place, "removed") == []
    (entry,) = left(place, before)
    assert (entry.action, entry.target) == ("publisher.remove", "project:removed")
    assert entry.before is not None
    assert entry.before["conditions"]["repository"] == "octo/spam"
    assert send(keeper, f"publishers/{id}/remove").status_code == 404
    assert send(keeper, f"publishers/{foreign}/remove").status_code == 403
    assert listed(place, "foreign") == [foreign]


def test_a_publisher_is_added(place: Site, keeper: Browser) -> None:
    """At a project, or for a name that is free: that one is pending, and only its maker's."""
    published(place, "added")
    before = place.trail()[-1].number
    fields = {**PUBLISHER, "environment": ""}
    assert send(keeper, "publishers", name="Added", **fields).headers["location"] == "/account"
    (entry,) = left(place, before)
    assert (entry.action, entry.target) == ("publisher.add", "project:added")
    assert len(listed(place, "added")) == 1
    gitlab = {"provider": "gitlab", "project": "group/kit", "workflow": ".gitlab-ci.yml"}
    assert send(keeper, "publishers", name="still-free", **gitlab).status_code == 303
    page = keeper.client.get("/account").text
    assert "<strong>still-free</strong>" in page
    assert "/project/still-free/manage" not in page
    assert '<span class="badge">pending</span>' in page
    (line,) = [one for one in re.findall(r"<li>.*?</li>", page, re.S) if "still-free" in one]
    assert "project group/kit" in line
    with browsing(place, READER) as reader:
        assert SECTION not in reader.client.get("/account").text


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"name": "../x"}, 400, "x"),
        ({"provider": "nowhere"}, 400, "no such provider"),
        ({"provider": "custom"}, 400, "issuer: Name one"),
        ({"repository": ""}, 400, "needs &#39;repository&#39;"),
        ({"repository": "no repository"}, 400, "repository: This cannot be one"),
        ({"ref_protected": "perhaps"}, 400, "ref_protected"),
        ({"issuer": "https://evil.example"}, 400, "issuer: Name one"),
        ({"name": "foreign-one"}, 403, "allowed to manage"),
    ],
)
def test_what_cannot_be_added_is_said(
    place: Site, keeper: Browser, fields: dict[str, str], status: int, said: str
) -> None:
    """In the API's words, on the page, and nothing is kept."""
    published(place, "wrong")
    place.publish("foreign-one")
    answer = send(keeper, "publishers", **{"name": "wrong", **PUBLISHER, **fields})
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert "</h1>" in answer.text
    assert listed(place, "wrong") == []
    assert listed(place, "foreign-one") == []


def test_an_equal_publisher_is_there_once(place: Site, keeper: Browser) -> None:
    """The second one is refused, on the page."""
    published(place, "twice")
    assert send(keeper, "publishers", name="twice", **PUBLISHER).status_code == 303
    assert send(keeper, "publishers", name="twice", **PUBLISHER).status_code == 409
    assert len(listed(place, "twice")) == 1


def test_publishers_need_a_fresh_login(place: Site, keeper: Browser) -> None:
    """Both ways; one is sent to log in, and comes back."""
    published(place, "stale")
    id = register(place, "stale")
    grow_old(place, "keeper")
    for path, fields in (
        (f"publishers/{id}/remove", {}),
        ("publishers", {"name": "stale", **PUBLISHER, "environment": "x"}),
    ):
        answer = send(keeper, path, **fields)
        assert answer.headers["location"] == "/login?next=/account"
    assert listed(place, "stale") == [id]


def test_forms_of_others_change_no_publishers(place: Site, keeper: Browser) -> None:
    """From another site, or without the session's token (T22)."""
    published(place, "guarded")
    id = register(place, "guarded")
    fields = {"csrf": keeper.csrf, "name": "guarded", **PUBLISHER, "environment": "x"}
    for path in (f"/account/publishers/{id}/remove", "/account/publishers"):
        for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
            assert keeper.client.post(path, data=fields, headers=headers).status_code == 403
        answer = keeper.client.post(path, data={**fields, "csrf": "x"}, headers=keeper.own)
        assert answer.status_code == 403
    assert listed(place, "guarded") == [id]


def test_publishers_that_cannot_be_asked_for_hide_nothing_else(
    place: Site, keeper: Browser
) -> None:
    """The page says so, with tokens and sessions as ever."""
    published(place, "away")
    with missing(place, "pypicloud_ledger_publishers"):
        answer = keeper.client.get("/account")
    assert answer.status_code == 200
    assert "They cannot be asked for now" in answer.text
    assert '<h2 id="tokens">' in answer.text
    assert "They cannot be asked for now" not in keeper.client.get("/account").text
