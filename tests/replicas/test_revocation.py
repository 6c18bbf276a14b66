"""What is taken away is taken away on every replica, within one poll and a second."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.factories import form, make_wheel
from tests.invariants.server import AUTH, JSON
from tests.replicas.fleet import POLL, Replica, until_ready
from tests.servers import postgresql

PASSWORD = "a fine long passphrase"
PROJECT = "plans"
PEOPLE = ("kate", "lena", "mara", "nora", "olga", "pia", "rosa", "sara")
HOT = 3
"""Requests after which each replica has its answer at hand."""

pytestmark = pytest.mark.slow

Ask = Callable[[str], int]
"""The status with which a replica answers somebody."""


@dataclass(frozen=True, slots=True)
class Site:
    """Replicas on one database, and somebody at the first of them who may do anything."""

    replicas: Sequence[Replica]
    http: httpx.Client
    ids: dict[str, str]
    """The tokens that were made, by owner."""

    def manage(self, method: str, path: str, body: object = None, at: int = 0) -> httpx.Response:
        """A request of the admin's to one of the replicas."""
        url = f"{self.replicas[at].url}/api/v1/{path}"
        answer = self.http.request(method, url, json=body, auth=AUTH)
        assert answer.is_success, (path, answer.text)
        return answer

    def page(self, url: str, who: tuple[str, str]) -> int:
        """How the page of the project is answered."""
        headers = {"Accept": JSON}
        return self.http.get(f"{url}/simple/{PROJECT}/", headers=headers, auth=who).status_code

    def token(self, owner: str, **scope: object) -> str:
        """A token of somebody's."""
        body = {"name": "ci", "permissions": ["read"], **scope}
        auth = (owner, PASSWORD)
        answer = self.http.post(f"{self.replicas[0].url}/api/v1/tokens", json=body, auth=auth)
        assert answer.status_code == 201, answer.text
        self.ids[owner] = answer.json()["id"]
        token: str = answer.json()["token"]
        return token


@contextmanager
def running(folder: Path, url: str) -> Iterator[Site]:
    """Three replicas; nobody reads by default but whoever is logged in."""
    with ExitStack() as stack:
        settings = {"CACHE": url, "ACCESS": url, "DEFAULT_READ": "authenticated"}
        replicas = [Replica(folder, LOG_LEVEL="warning", **settings) for _ in range(3)]
        http = stack.enter_context(httpx.Client(trust_env=False, timeout=60))
        for number, replica in enumerate(replicas):
            stack.callback(replica.close)
            replica.want()
            if not number:  # it makes the admin, and lays out the database
                until_ready(replica)
        for replica in replicas:
            until_ready(replica)
        yield Site(replicas, http, {})
        for replica in replicas:
            assert "Traceback" not in replica.log, replica.log[-8000:]


async def test_i7_what_is_revoked_dies_on_three_replicas(tmp_path: Path) -> None:
    """A token, its user disabled or deleted, a grant, a membership, a group, a session, a password:

    each was honoured by all replicas, from memory too, and none is a poll and a second later.
    """
    async with postgresql.database() as url:
        # The replicas are processes of their own; nothing else is to run in this loop.
        with running(tmp_path, url) as site:
            asks, cookie = settled(site)
            for name, ask in asks.items():
                for replica in site.replicas:
                    statuses = {ask(replica.url) for _ in range(HOT)}
                    assert statuses == {200}, (name, statuses, replica.log[-2000:])
            revoke(site, cookie)
            time.sleep(POLL + 1)
            found = {
                (name, number): ask(replica.url)
                for name, ask in asks.items()
                for number, replica in enumerate(site.replicas)
            }
    wanted = {"token": 401, "disabled": 401, "deleted": 401, "password": 401, "session": 303}
    for (name, number), status in found.items():
        expected = 200 if name.startswith("kept") else wanted.get(name, 403)
        assert status == expected, (name, number, status)


def settled(site: Site) -> tuple[Mapping[str, Ask], str]:
    """People with one right each, how each of them asks, and the cookie of a session.

    Two keep what they have.
    """
    made = make_wheel(PROJECT, "1.0")
    uploaded = site.http.post(
        f"{site.replicas[0].url}/legacy/",
        data=form(made, PROJECT, "1.0"),
        files={"content": (made.filename, made.content)},
        auth=AUTH,
    )
    assert uploaded.status_code == 200, uploaded.text
    for name in PEOPLE:
        site.manage("PUT", f"users/{name}", {"password": PASSWORD})
    for group, member in (("crew", "nora"), ("gone", "olga")):
        site.manage("PUT", f"groups/{group}")
        site.manage("PUT", f"groups/{group}/members/{member}")
    readers = [f"user:{name}" for name in PEOPLE if name not in ("nora", "olga")]
    for principal in (*readers, "group:crew", "group:gone"):
        body = {"permissions": ["read"]}
        site.manage("PUT", f"projects/{PROJECT}/grants/{principal}", body)
    tokens = {name: ("__token__", site.token(name)) for name in ("kate", "lena", "pia")}
    cookie = logged_in(site, "rosa")
    asks: dict[str, Ask] = {
        "token": lambda url: site.page(url, tokens["kate"]),
        "disabled": lambda url: site.page(url, tokens["lena"]),
        "grant": lambda url: site.page(url, ("mara", PASSWORD)),
        "member": lambda url: site.page(url, ("nora", PASSWORD)),
        "group": lambda url: site.page(url, ("olga", PASSWORD)),
        "deleted": lambda url: site.page(url, ("pia", PASSWORD)),
        "session": lambda url: account(site, url, cookie).status_code,
        "password": lambda url: site.page(url, ("sara", PASSWORD)),
        "kept password": lambda url: site.page(url, ("kate", PASSWORD)),
        "kept admin": lambda url: site.page(url, AUTH),
    }
    return asks, cookie


def account(site: Site, url: str, cookie: str) -> httpx.Response:
    """The page of whoever has the cookie."""
    return site.http.get(f"{url}/account", headers={"Cookie": cookie})


def logged_in(site: Site, name: str) -> str:
    """The cookie of a new session."""
    url = site.replicas[0].url
    answer = site.http.post(
        f"{url}/login", data={"username": name, "password": PASSWORD}, headers={"Origin": url}
    )
    assert answer.status_code == 303, answer.text
    site.http.cookies.clear()
    return answer.headers["set-cookie"].partition(";")[0]


def revoke(site: Site, cookie: str) -> None:
    """Take away what each of them has, at one replica or another."""
    site.manage("DELETE", f"tokens/{site.ids['kate']}", at=1)
    site.manage("PATCH", "users/lena", {"disabled": True}, at=2)
    site.manage("DELETE", f"projects/{PROJECT}/grants/user:mara", at=0)
    site.manage("DELETE", "groups/crew/members/nora", at=1)
    site.manage("DELETE", "groups/gone", at=2)
    site.manage("DELETE", "users/pia", at=0)
    site.manage("PATCH", "users/sara", {"password": f"{PASSWORD}, another one"}, at=1)
    url = site.replicas[2].url
    csrf = re.search(r'name="csrf" value="([^"]+)"', account(site, url, cookie).text)
    assert csrf is not None
    out = site.http.post(
        f"{url}/logout",
        data={"csrf": csrf[1], "everywhere": "yes"},
        headers={"Origin": url, "Cookie": cookie},
    )
    assert out.status_code == 303, out.text
