"""What admins look at: upstreams and rules, rights, tokens, disk use, changes, and a check."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.routes.site import ADMIN, PASSWORD, Site, site
from tests.routes.test_web_acts import HTML, Browser, browsing
from tests.routes.test_web_admin import events

RULES = {"reserved": ["acme-*"], "minimum_age": "7 d", "deny": ["evil<2", "worse"]}
NEAR = {
    "name": "near",
    "url": "https://upstream.example/simple/",
    "username": "reader",
    "password": "hush",
    "rules": {"only_wheels": ["*"]},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with an upstream that nobody is asked of, projects, grants and tokens."""
    folder = tmp_path_factory.mktemp("overseeing")
    chosen: dict[str, Any] = {
        "rules": RULES,
        "upstreams": (NEAR,),
        "limits": {"logins": 0, "all_logins": 0},
    }
    with site(folder, **chosen) as running:
        running.user("ordinary")
        for name in ("alpha", "beta"):
            running.publish(name)
        grant = {"permissions": ["read", "upload"]}
        path = "/api/v1/projects/alpha/grants/user:ordinary"
        running.ask("PUT", path, auth=ADMIN, json=grant).raise_for_status()
        running.token(("ordinary", PASSWORD), name="theirs")
        yield running


@pytest.fixture
def browser(place: Site) -> Iterator[Browser]:
    """The admin's."""
    with browsing(place) as found:
        yield found


def seen(browser: Browser, path: str) -> dict[str, Any]:
    """The page as JSON."""
    answer = browser.client.get(path, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_upstreams_are_shown_with_their_rules(browser: Browser) -> None:
    """How each is doing, what may be had of it, and never its credentials."""
    view = seen(browser, "/admin/upstreams")
    (one,) = view["upstreams"]
    assert (one["name"], one["host"], one["policy"]) == ("near", "upstream.example", "cache")
    assert one["breaker"] == "closed"
    assert one["counts"]["asked"] == 0
    assert [(rule["name"], rule["what"]) for rule in one["rules"]] == [("only_wheels", ["*"])]
    rules = {rule["name"]: rule["what"] for rule in view["rules"]}
    assert rules["reserved"] == ["acme-*"]
    assert rules["deny"] == ["evil<2", "worse"]
    assert rules["minimum_age"] == ["7 days, 0:00:00"]
    text = browser.get("/admin/upstreams").text
    assert "evil&lt;2" in text
    assert "hush" not in text + json.dumps(view)


def test_an_index_without_upstreams_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    """And that no rule is set."""
    with site(tmp_path_factory.mktemp("alone")) as running, browsing(running) as browser:
        text = browser.get("/admin/upstreams").text
        assert "falls back on no other" in text
        assert "No rule is set." in text


def test_rights_are_shown_by_project(browser: Browser) -> None:
    """Every principal with its rights; by name of the project, and by whom they are for."""
    view = seen(browser, "/admin/rights?project=alph")
    (line,) = view["projects"]
    assert (line["project"], line["waiting"]) == ("alpha", False)
    assert line["principals"]["user:ordinary"] == ["read", "upload"]
    assert view["defaults"]["read"] == ["authenticated"]
    mine = seen(browser, "/admin/rights?principal=user:ordinary")["projects"]
    assert [one["project"] for one in mine] == ["alpha"]
    assert "user:ordinary" in browser.get("/admin/rights").text
    assert seen(browser, "/admin/rights?project=none")["projects"] == []


def test_a_grant_on_what_is_not_there_waits(place: Site, browser: Browser) -> None:
    """It holds for whichever project comes, and says so."""
    path = "/api/v1/projects/to-come/grants/user:ordinary"
    body = {"permissions": ["upload"]}
    place.ask("PUT", path, auth=ADMIN, json=body).raise_for_status()
    (line,) = seen(browser, "/admin/rights?project=to-come")["projects"]
    assert line["waiting"]
    assert "waits for the project" in browser.get("/admin/rights?project=to-come").text


def test_tokens_of_all_are_shown_and_revoked(place: Site, browser: Browser) -> None:
    """With their owner and scope, never their text; a revoked one is refused at once."""
    made = place.token(("ordinary", PASSWORD), name="lost")
    text = browser.get("/admin/tokens").text
    assert "lost" in text
    assert "theirs" in text
    assert made["token"] not in text
    sent = {"csrf": browser.csrf, "act": "revoke-token", "name": made["id"]}
    answer = browser.client.post("/admin", data=sent, headers={**browser.own, **HTML})
    assert answer.headers["location"] == "/admin/tokens?done=revoke-token"
    assert "lost" not in browser.get("/admin/tokens").text
    assert place.ask("GET", "/api/v1/account", auth=made["token"]).status_code in (401, 403)
    for wrong in (made["id"], "no\0id", "x" * 65):
        answer = browser.client.post(
            "/admin", data={**sent, "name": wrong}, headers={**browser.own, **HTML}
        )
        assert answer.status_code == 400


def test_disk_use_is_shown_by_project(browser: Browser) -> None:
    """The largest first, and what all take together."""
    while (view := seen(browser, "/admin/disk"))["missing"]:
        time.sleep(0.05)
    assert (view["projects"], view["files"]) == (2, 2)
    assert {one["name"] for one in view["largest"]} == {"alpha", "beta"}
    sizes = [one["size"] for one in view["largest"]]
    assert sizes == sorted(sizes, reverse=True)
    assert view["size"] == sum(sizes)
    assert view["largest"][0]["share"] == 1000
    assert "<rect" in browser.get("/admin/disk").text


def test_changes_are_shown_newest_first(place: Site, browser: Browser) -> None:
    """Page by page, to the very first."""
    place.publish("gamma")
    changes = seen(browser, "/admin/changes")["changes"]
    assert changes[0]["project"] == "gamma"
    serials = [one["serial"] for one in changes]
    assert serials == sorted(serials, reverse=True)
    older = seen(browser, f"/admin/changes?before={serials[1]}")["changes"]
    assert [one["serial"] for one in older] == serials[2:]
    assert "gamma-1.0-py3-none-any.whl" in browser.get("/admin/changes").text
    end = seen(browser, "/admin/changes?before=1")
    assert (end["changes"], end["before"]) == ([], None)


def test_changes_are_filtered(place: Site, browser: Browser) -> None:
    """By project and by what was done."""
    place.publish("delta")
    found = seen(browser, "/admin/changes?project=Delta&action=publish")["changes"]
    assert [(one["project"], one["action"]) for one in found] == [("delta", "publish")]
    assert {one["project"] for one in seen(browser, "/admin/changes?project=delta")["changes"]} == {
        "delta"
    }
    assert seen(browser, "/admin/changes?action=none")["changes"] == []
    assert "No change fits." in browser.get("/admin/changes?action=none").text


def test_the_trail_is_kept_as_lines(browser: Browser) -> None:
    """What is filtered for, one entry a line, as it is sealed."""
    answer = browser.get("/admin/audit?action=file.publish&export=jsonl")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert {one["action"] for one in entries} == {"file.publish"}
    assert len(entries) >= 2


def checked(browser: Browser, accept: str, **fields: str) -> str:
    """A check, as the form sends it."""
    sent = {"csrf": browser.csrf, **fields}
    headers = {**browser.own, "Accept": accept}
    answer = browser.client.post("/admin/check", data=sent, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_check_tells_how_far_it_is(place: Site, browser: Browser) -> None:
    """By events, and as a page where no script runs; it stands in the audit trail."""
    kind, end = events(checked(browser, "text/event-stream", deep="yes"))[-1]
    assert kind == "progress"
    assert (end["findings"], end["running"]) == (0, False)
    assert end["files"] >= 2
    assert "all agree" in checked(browser, "text/html")
    entry = place.trail()[-1]
    assert (entry.action, entry.outcome) == ("integrity.check", "ok")


def test_a_check_of_another_site_is_refused(browser: Browser) -> None:
    """Without the session's token, or from elsewhere, nothing is looked at."""
    answer = browser.client.post("/admin/check", data={"csrf": "x"}, headers=browser.own)
    assert answer.status_code == 403
    headers = {**browser.own, "Origin": "https://elsewhere.example"}
    answer = browser.client.post("/admin/check", data={"csrf": browser.csrf}, headers=headers)
    assert answer.status_code == 403


def test_pages_with_forms_are_json_too(place: Site, browser: Browser) -> None:
    """What they show, without what makes their forms work."""
    made = place.token(ADMIN, name="of mine")
    told = seen(browser, "/account")
    assert told["user"] == ADMIN[0]
    assert "of mine" in [one["name"] for one in told["tokens"]]
    assert [one["own"] for one in told["sessions"]].count(True) == 1
    people = seen(browser, "/admin")
    assert "ordinary" in [one["name"] for one in people["users"]]
    assert people["readiness"]["parts"]["storage"] == "ok"
    assert people["reindex"]["state"]
    tokens = seen(browser, "/admin/tokens")
    assert {"of mine", "theirs"} <= {one["name"] for one in tokens["tokens"]}
    entries = seen(browser, "/admin/audit?action=token.create")["entries"]
    assert {one["action"] for one in entries} == {"token.create"}
    everything = json.dumps([told, people, tokens, entries])
    for secret in (made["token"], browser.csrf, PASSWORD, "argon2"):
        assert secret not in everything


def test_a_check_that_cannot_go_on_says_so(tmp_path: Path) -> None:
    """In the place of its end, since the answer has begun; the next check has its turn."""
    with site(tmp_path, cache=f"sqlite+aiosqlite:///{tmp_path}/cache.db") as place:
        place.publish("alpha")
        with browsing(place) as browser:
            with closing(sqlite3.connect(tmp_path / "cache.db", timeout=30)) as cache:
                names = "SELECT name FROM sqlite_master WHERE name LIKE 'pypicloud_cache_projects%'"
                for (table,) in cache.execute(f"{names} AND type = 'table'").fetchall():
                    cache.execute(f"DROP TABLE {table}")
            kind, told = events(checked(browser, "text/event-stream"))[-1]
            assert kind == "broken"
            assert "cache" in told["message"]
            kind, told = events(checked(browser, "text/event-stream"))[-1]
            assert (kind, told["running"]) == ("progress", False)
