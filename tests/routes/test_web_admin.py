"""The pages of admins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.routes.site import ADMIN, PASSWORD, Site, site
from tests.routes.test_web_acts import HTML, Browser, browsing


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with some people."""
    folder = tmp_path_factory.mktemp("admin")
    with site(folder, limits={"logins": 0, "all_logins": 0, "registrations": 0}) as running:
        running.user("ordinary")
        yield running


@pytest.fixture
def browser(place: Site) -> Iterator[Browser]:
    """The admin's."""
    with browsing(place) as found:
        yield found


def act(browser: Browser, what: str, **fields: object) -> httpx.Response:
    """Send a form of the admin's page."""
    sent = {"csrf": browser.csrf, "act": what, **fields}
    return browser.client.post("/admin", data=sent, headers={**browser.own, **HTML})


def done(browser: Browser, what: str, **fields: object) -> None:
    """The same; it must be done."""
    answer = act(browser, what, **fields)
    assert answer.headers.get("location") == f"/admin?done={what}", answer.text


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Server-sent events: what each is called, and says."""
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)
    return [(kind, json.loads(told)) for kind, told in found]


def test_users_are_made_changed_and_deleted(place: Site, browser: Browser) -> None:
    """As by the API, with its entries in the trail; deleting asks for the name."""
    done(browser, "add-user", name="Newcomer", password=PASSWORD)
    path = "/api/v1/users/newcomer"
    assert "newcomer" in browser.get("/admin").text
    done(browser, "promote", name="newcomer")
    assert place.ask("GET", path, auth=ADMIN).json()["admin"] is True
    done(browser, "demote", name="newcomer")
    done(browser, "disable", name="newcomer")
    assert place.ask("GET", path, auth=ADMIN).json()["disabled"] is True
    done(browser, "enable", name="newcomer")
    done(browser, "password", name="newcomer", password="another fine passphrase")
    who = ("newcomer", "another fine passphrase")
    assert place.ask("GET", "/api/v1/account", auth=who).status_code == 200
    assert act(browser, "delete-user", name="newcomer", confirm="x").status_code == 400
    done(browser, "delete-user", name="newcomer", confirm="newcomer")
    assert place.ask("GET", path, auth=ADMIN).status_code == 404
    actions = [entry.action for entry in place.trail(target="user:newcomer")]
    for action in ("user.create", "user.admin.grant", "user.disable", "user.delete"):
        assert action in actions


def test_groups_are_made_filled_and_deleted(place: Site, browser: Browser) -> None:
    """Members are named."""
    done(browser, "add-group", name="makers")
    done(browser, "add-member", name="makers", user="ordinary")
    path = "/api/v1/groups/makers"
    assert place.ask("GET", path, auth=ADMIN).json()["members"] == ["ordinary"]
    done(browser, "remove-member", name="makers", user="ordinary")
    assert act(browser, "add-member", name="makers", user="ghost").status_code == 400
    done(browser, "delete-group", name="makers", confirm="makers")
    assert place.ask("GET", path, auth=ADMIN).status_code == 404


def test_registrations_are_approved_and_rejected(place: Site, browser: Browser) -> None:
    """Once registration is open; until then nobody waits."""
    done(browser, "registration", open="yes")
    for name in ("hopeful", "hopeless"):
        body = {"name": name, "password": PASSWORD}
        assert place.ask("POST", "/api/v1/registrations", json=body).status_code == 201
    assert "Waiting for approval" in browser.get("/admin").text
    done(browser, "approve", name="hopeful")
    done(browser, "reject", name="hopeless")
    done(browser, "registration", open="no")
    who = ("hopeful", PASSWORD)
    assert place.ask("GET", "/api/v1/account", auth=who).status_code == 200
    assert "Waiting for approval" not in browser.get("/admin").text


def test_what_is_wrong_is_said(browser: Browser) -> None:
    """In the API's words, and nothing is done; nobody takes their own rights away."""
    for what, fields, said in (
        ("add-user", {"name": "ordinary", "password": PASSWORD}, "ordinary"),
        ("add-user", {"name": "short", "password": "x"}, "password"),
        ("demote", {"name": "admin"}, "Nobody takes their own rights away"),
        ("disable", {"name": "ghost"}, "ghost"),
        ("delete-group", {"name": "none", "confirm": "none"}, "none"),
        ("burn", {}, "no such act"),
    ):
        answer = act(browser, what, **fields)
        assert answer.status_code == 400, what
        assert said in answer.text, what


def test_a_reindex_is_begun_and_watched(place: Site, browser: Browser) -> None:
    """The script is told by events how far it has come, until it has ended."""
    done(browser, "reindex")
    told = events(browser.client.get("/admin/reindex/events").text)
    assert {kind for kind, _ in told} == {"progress"}
    assert told[-1][1]["state"] == "done"
    assert told[-1][1]["running"] is False
    page = browser.get("/admin").text
    assert "data-reindex" in page
    for part in ("storage", "cache", "access", "index"):
        assert part in page


def test_the_trail_is_read_and_filtered(place: Site, browser: Browser) -> None:
    """By action, actor and target; an entry's texts are shown as text."""
    place.publish("trailing")
    text = browser.get("/admin/audit?action=file.publish").text
    assert "file:trailing/trailing-1.0-py3-none-any.whl" in text
    assert "auth.login.ok" not in text
    assert "No entry fits." in browser.get("/admin/audit?actor=user:nobody").text
    assert "auth.login" in browser.get("/admin/audit").text


def test_it_is_for_admins(place: Site) -> None:
    """Others are refused and see no link; without a session one logs in (T22)."""
    with browsing(place, ("ordinary", PASSWORD)) as other:
        assert 'href="/admin"' not in other.get("/").text
        pages = ("audit", "upstreams", "rights", "tokens", "disk", "changes", "reindex/events")
        for path in ("/admin", *(f"/admin/{page}" for page in pages)):
            assert other.get(path).status_code == 403
        assert act(other, "add-user", name="evil", password=PASSWORD).status_code == 403
    with httpx.Client(base_url=place.url) as nobody:
        assert nobody.get("/admin", headers=HTML).headers["location"] == "/login?next=/admin"
        assert nobody.post("/admin", data={"act": "reindex"}).status_code == 303


def test_forms_of_others_do_nothing(place: Site, browser: Browser) -> None:
    """From another site, or without the session's token (T22)."""
    sent = {"csrf": browser.csrf, "act": "add-user", "name": "evil", "password": PASSWORD}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
        assert browser.client.post("/admin", data=sent, headers=headers).status_code == 403
    answer = browser.client.post("/admin", data={**sent, "csrf": "x"}, headers=browser.own)
    assert answer.status_code == 403
    assert place.ask("GET", "/api/v1/users/evil", auth=ADMIN).status_code == 404
