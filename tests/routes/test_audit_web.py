"""The audit trail of the web pages: what a form does is one entry, as by the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from app.routes.web import administering, managing
from tests.routes.site import ADMIN, PASSWORD, Site, site
from tests.routes.test_web_acts import HTML, Browser, browsing

NEW = "yet another fine passphrase"


class Done(NamedTuple):
    """A form that is sent, after some others, and the entry that it leaves."""

    action: str
    fields: Mapping[str, str] = {}
    first: tuple[tuple[str, Mapping[str, str]], ...] = ()


USER = ("add-user", {"name": "{name}", "password": PASSWORD})
GROUP = ("add-group", {"name": "{name}"})
NAME = {"name": "{name}"}
ADMINISTERED = {
    "add-user": Done("user.create", USER[1]),
    "promote": Done("user.admin.grant", NAME, (USER,)),
    "demote": Done("user.admin.revoke", NAME, (USER, ("promote", NAME))),
    "disable": Done("user.disable", NAME, (USER,)),
    "enable": Done("user.enable", NAME, (USER, ("disable", NAME))),
    "password": Done("user.password.change", {**NAME, "password": NEW}, (USER,)),
    "delete-user": Done("user.delete", {**NAME, "confirm": "{name}"}, (USER,)),
    "add-group": Done("group.create", NAME),
    "delete-group": Done("group.delete", {**NAME, "confirm": "{name}"}, (GROUP,)),
    "add-member": Done("group.member.add", {**NAME, "user": "ordinary"}, (GROUP,)),
    "remove-member": Done(
        "group.member.remove",
        {**NAME, "user": "ordinary"},
        (GROUP, ("add-member", {**NAME, "user": "ordinary"})),
    ),
    "approve": Done("user.approve", NAME, (("registration", {"open": "yes"}),)),
    "reject": Done("user.reject", NAME, (("registration", {"open": "yes"}),)),
    "registration": Done("config.change", {"open": "no"}, (("registration", {"open": "yes"}),)),
    "reindex": Done("reindex"),
    "revoke-token": Done("token.revoke", NAME),
}
FILE = {"filename": "{filename}"}
MANAGED = {
    "yank": Done("file.yank", {"version": "1.0", "reason": "bad"}),
    "unyank": Done("file.unyank", {"version": "1.0"}, (("yank", {"version": "1.0"}),)),
    "delete-file": Done("file.delete", {**FILE, "confirm": "{filename}"}),
    "restore-file": Done(
        "file.restore", FILE, (("delete-file", {**FILE, "confirm": "{filename}"}),)
    ),
    "status": Done("project.status", {"status": "archived", "reason": "moved"}),
    "delete-project": Done("project.delete", {"confirm": "{name}"}),
    "grant": Done("grant.set", {"principal": "user:ordinary", "permission": "read"}),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with somebody else."""
    folder = tmp_path_factory.mktemp("audited")
    with site(folder, limits={"logins": 0, "all_logins": 0, "registrations": 0}) as running:
        running.user("ordinary")
        yield running


@pytest.fixture
def browser(place: Site) -> Iterator[Browser]:
    """The admin's."""
    with browsing(place) as found:
        yield found


def test_every_act_is_in_the_tables() -> None:
    """A new form that changes something needs an entry, and a line above."""
    assert administering.ACTS.keys() == ADMINISTERED.keys()
    assert managing.ACTS.keys() == MANAGED.keys()


def send(browser: Browser, path: str, act: str, fields: Mapping[str, str], **said: str) -> None:
    """Send a form; it must be done."""
    sent = {name: value.format(**said) for name, value in fields.items()}
    answer = browser.client.post(
        path, data={"csrf": browser.csrf, "act": act, **sent}, headers={**browser.own, **HTML}
    )
    assert answer.status_code == 303, answer.text


def entry(place: Site, browser: Browser, path: str, act: str, done: Done, **said: str) -> None:
    """Do it, and hold what it leaves against the table."""
    before = place.trail()[-1].number
    send(browser, path, act, done.fields, **said)
    entries = [one for one in place.trail(after=before) if not one.action.startswith("auth.")]
    assert [one.action for one in entries] == [done.action]
    (left,) = entries
    assert left.actor is not None
    assert (left.actor.kind, left.actor.id) == ("user", ADMIN[0])
    assert (left.outcome, left.address) == ("ok", "127.0.0.1")
    assert left.request


@pytest.mark.parametrize("act", ADMINISTERED)
def test_t34_what_an_admin_does_is_one_entry(place: Site, browser: Browser, act: str) -> None:
    """Each leaves exactly one, with who and from where."""
    done, name = ADMINISTERED[act], f"n-{act}"
    for former, fields in done.first:
        send(browser, "/admin", former, fields, name=name)
    if act == "revoke-token":
        name = place.token()["id"]
    if act in ("approve", "reject"):
        body = {"name": name, "password": PASSWORD}
        place.ask("POST", "/api/v1/registrations", json=body).raise_for_status()
    entry(place, browser, "/admin", act, done, name=name)


@pytest.mark.parametrize("act", MANAGED)
def test_t34_what_a_manager_does_is_one_entry(place: Site, browser: Browser, act: str) -> None:
    """Each leaves exactly one."""
    done, name = MANAGED[act], f"p-{act}"
    said = {"name": name, "filename": place.publish(name).filename}
    path = f"/project/{name}/manage"
    for former, fields in done.first:
        send(browser, path, former, fields, **said)
    entry(place, browser, path, act, done, **said)


def test_t34_what_one_does_to_the_own_account_is_one_entry(place: Site, browser: Browser) -> None:
    """Tokens with all that can be said of them but their secret; the password without it."""
    before = place.trail()[-1].number
    fields = {"name": "laptop", "permission": "read", "projects": "", "days": "30"}
    form = {"csrf": browser.csrf, **fields}
    made = browser.client.post("/account/tokens", data=form, headers={**browser.own, **HTML})
    assert made.status_code == 200
    (created,) = [one for one in place.trail(after=before) if one.action == "token.create"]
    id = created.target.removeprefix("token:")
    send(browser, f"/account/tokens/{id}/revoke", "", {})
    (revoked,) = [one for one in place.trail(after=created.number) if one.action == "token.revoke"]
    assert revoked.target == created.target
    assert created.after == revoked.before
    assert created.after is not None
    assert (created.after["id"], created.after["name"]) == (id, "laptop")
    assert created.after["owner"] == ADMIN[0]
    words = {"present": ADMIN[1], "password": ADMIN[1], "again": ADMIN[1]}
    send(browser, "/account/password", "", words)
    left = [one for one in place.trail(after=revoked.number) if not one.action.startswith("auth.")]
    assert [one.action for one in left] == ["user.password.change"]


def test_t34_what_one_does_to_sessions_and_publishers_is_one_entry(
    place: Site, browser: Browser
) -> None:
    """A session that is ended, a publisher that is added and one that is removed."""
    place.publish("published")
    github = {"provider": "github", "repository": "octo/published", "workflow": "release.yml"}
    added = Done("publisher.add", {"name": "published", **github})
    entry(place, browser, "/account/publishers", "", added)
    (publisher,) = place.ask("GET", "/api/v1/projects/published/publishers", auth=ADMIN).json()
    path = f"/account/publishers/{publisher['id']}/remove"
    entry(place, browser, path, "", Done("publisher.remove"))
    with browsing(place):
        page = browser.client.get("/account").text
        path = page.partition('action="/account/sessions/')[2].partition('"')[0]
        entry(place, browser, f"/account/sessions/{path}", "", Done("session.end"))
