"""The audit trail: every mutation is one entry, every refusal is noted, and both can be read."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.access import trail
from app.access.chronicle import Chronicle
from app.access.ledger import Entry
from app.config import Settings
from app.index import Index
from app.index.collect import SYSTEM
from app.index.keep import keep
from app.main import create_app, noting
from tests.factories import make_wheel
from tests.routes.site import ADMIN, PASSWORD, Site, site
from tests.routes.stage import ADA, opened

MUTATING = {
    ("PATCH", "/api/v1/projects/{project}"): "project.status",
    ("DELETE", "/api/v1/projects/{project}"): "project.delete",
    ("POST", "/api/v1/projects/{project}/restore"): "project.restore",
    ("PATCH", "/api/v1/projects/{project}/releases/{version}"): "file.yank",
    ("POST", "/api/v1/projects/{project}/releases/{version}/restore"): "file.restore",
    ("PATCH", "/api/v1/projects/{project}/files/{filename}"): "file.yank",
    ("DELETE", "/api/v1/projects/{project}/files/{filename}"): "file.delete",
    ("POST", "/api/v1/projects/{project}/files/{filename}/restore"): "file.restore",
    ("POST", "/api/v1/reindex"): "reindex",
    ("POST", "/api/v1/tokens"): "token.create",
    ("POST", "/api/v1/tokens/{id}/rotate"): "token.rotate",
    ("DELETE", "/api/v1/tokens/{id}"): "token.revoke",
    ("POST", "/api/v1/tokens/leaked"): "token.leak",
    ("POST", "/legacy/"): "file.publish",
    ("PUT", "/api/v1/users/{name}"): "user.create",
    ("PATCH", "/api/v1/users/{name}"): "user.disable",
    ("DELETE", "/api/v1/users/{name}"): "user.delete",
    ("PUT", "/api/v1/account/password"): "user.password.change",
    ("PUT", "/api/v1/groups/{name}"): "group.create",
    ("DELETE", "/api/v1/groups/{name}"): "group.delete",
    ("PUT", "/api/v1/groups/{name}/members/{user}"): "group.member.add",
    ("DELETE", "/api/v1/groups/{name}/members/{user}"): "group.member.remove",
    ("PUT", "/api/v1/projects/{project}/grants/{principal}"): "grant.set",
    ("DELETE", "/api/v1/projects/{project}/grants/{principal}"): "grant.delete",
    ("PUT", "/api/v1/registrations"): "config.change",
    ("POST", "/api/v1/registrations"): "user.register",
    ("POST", "/api/v1/registrations/tokens"): "user.invite",
    ("DELETE", "/api/v1/registrations/{name}"): "user.reject",
    ("POST", "/api/v1/registrations/{name}/approve"): "user.approve",
    ("POST", "/api/v1/projects/{project}/publishers"): "publisher.add",
    ("DELETE", "/api/v1/projects/{project}/publishers/{id}"): "publisher.remove",
}
"""Every route that changes something, and the entry that it leaves."""
OTHERS = {
    ("POST", "/pypi"),
    ("POST", "/_/oidc/mint-token"),
    ("POST", "/api/v1/notifications"),
    ("POST", "/api/v1/retention"),
}
"""What only reads, what its own tests look at, and what tells of files that are there already."""
PUBLISHER = {"provider": "github", "repository": "octo/spam", "workflow": "release.yml"}
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/api/v1/projects/{project}"): {"status": "archived", "reason": "moved"},
    ("PATCH", "/api/v1/projects/{project}/releases/{version}"): {"yanked": "broken"},
    ("PATCH", "/api/v1/projects/{project}/files/{filename}"): {"yanked": True},
    ("POST", "/api/v1/tokens"): {"name": "ci", "permissions": ["read"]},
    ("PUT", "/api/v1/users/{name}"): {"password": PASSWORD, "admin": False},
    ("PATCH", "/api/v1/users/{name}"): {"disabled": True},
    ("PUT", "/api/v1/account/password"): {"old_password": ADMIN[1], "new_password": ADMIN[1]},
    ("PUT", "/api/v1/projects/{project}/grants/{principal}"): {"permissions": ["read"]},
    ("PUT", "/api/v1/registrations"): {"open": True},
    ("POST", "/api/v1/registrations"): {"name": "newcomer", "password": PASSWORD},
    ("POST", "/api/v1/registrations/tokens"): {"name": "guest"},
    ("POST", "/api/v1/projects/{project}/publishers"): PUBLISHER,
}
PENDING = ("/api/v1/registrations/{name}", "/api/v1/registrations/{name}/approve")
OPEN = ("POST", "/api/v1/registrations")
"""The one that needs no credentials."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service whose admin has done nothing yet."""
    key = SecretStr("of the signs for signing up, 256 bits")
    with site(tmp_path_factory.mktemp("site"), signup_key=key) as running:
        running.user("alice")
        yield running


def since(place: Site, before: list[Entry]) -> list[Entry]:
    """What was written after that, logins aside: one is noted when it is the first for long."""
    entries = place.trail(after=before[-1].number if before else 0)
    return [entry for entry in entries if not entry.action.startswith("auth.")]


def noted(place: Site, action: str, target: str) -> Entry:
    """The entry of a refusal, which is written soon after it."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for entry in place.trail(action=action):
            if entry.target == target:
                return entry
        time.sleep(0.2)
    raise AssertionError(f"{action} {target} was never noted")


def test_every_mutating_route_is_in_the_table(settings: Settings) -> None:
    """A new route that changes something needs an entry, and a line above."""
    paths = create_app(settings).openapi()["paths"]
    found = {
        (method.upper(), path)
        for path, operations in paths.items()
        for method in operations
        if method not in ("get", "head")
    }
    assert found - OTHERS == MUTATING.keys()


@pytest.mark.parametrize("route", MUTATING, ids=lambda route: " ".join(route))
def test_t34_every_mutation_is_one_entry(place: Site, route: tuple[str, str]) -> None:
    """Each leaves exactly one entry: who, with what, from where, what it was and became."""
    method, path = route
    project = f"p{abs(hash(route))}"
    made = place.publish(project)
    own = place.token()
    if path.endswith("/restore"):
        gone = path.removesuffix("/restore").replace("releases/{version}", "files/{filename}")
        gone = gone.format(project=project, filename=made.filename)
        place.ask("DELETE", gone, auth=ADMIN).raise_for_status()
    name = f"n{project[1:9]}"
    _prepare(place, route, project, name)
    id = own["id"]
    if method == "DELETE" and path.endswith("/publishers/{id}"):
        publishers = f"/api/v1/projects/{project}/publishers"
        id = place.ask("POST", publishers, auth=ADMIN, json=PUBLISHER).json()["id"]
    before = place.trail()
    if path == "/legacy/":
        second = make_wheel(project, "2.0")
        place.upload(second, project, auth=ADMIN, version="2.0").raise_for_status()
    else:
        where = path.format(
            project=project,
            version="1.0",
            filename=made.filename,
            id=id,
            name=name,
            user="alice",
            principal="user:alice",
        )
        more = {"json": BODIES[route]} if route in BODIES else {}
        if path.endswith("/leaked"):
            more = {"content": own["token"]}
        who = None if route == OPEN else ADMIN
        place.ask(method, where, auth=who, **more).raise_for_status()
    (entry,) = since(place, before)
    assert entry.action == MUTATING[route]
    if route != OPEN:
        assert entry.actor is not None
        assert (entry.actor.kind, entry.actor.id) == ("user", "admin")
    assert (entry.outcome, entry.address) == ("ok", "127.0.0.1")
    assert entry.agent.startswith("python-httpx/")
    assert len(entry.request) == 16


def _prepare(place: Site, route: tuple[str, str], project: str, name: str) -> None:
    """What has to be there before."""
    method, path = route
    if path == "/api/v1/users/{name}" and method != "PUT":
        place.user(name)
    if path in PENDING:
        place.access(lambda access: access.add_user(name, PASSWORD, pending=True))
    if path.startswith("/api/v1/groups/{name}") and route != ("PUT", "/api/v1/groups/{name}"):
        place.access(lambda access: access.add_group(name))
        if method == "DELETE" and path.endswith("/{user}"):
            place.access(lambda access: access.set_member(name, "alice", True))
    if method == "DELETE" and path.endswith("/{principal}"):
        grants = f"/api/v1/projects/{project}/grants/user:alice"
        body = {"permissions": ["read"]}
        place.ask("PUT", grants, auth=ADMIN, json=body).raise_for_status()
    if route == OPEN:
        wanted = {"open": True}
        place.ask("PUT", "/api/v1/registrations", auth=ADMIN, json=wanted).raise_for_status()


def test_a_first_upload_is_a_claim_and_a_publication(place: Site) -> None:
    """Two things happened, each has its entry; the same file again did nothing and has none."""
    before = place.trail()
    made = place.publish("twofold")
    entries = since(place, before)
    assert [(entry.action, entry.target) for entry in entries] == [
        ("project.claim", "project:twofold"),
        ("file.publish", f"file:twofold/{made.filename}"),
    ]
    assert entries[1].after == {"sha256": made.sha256, "size": len(made.content)}
    place.publish("twofold")
    assert since(place, entries) == []


def test_what_changes_nothing_is_no_entry(place: Site) -> None:
    """A status and a yank that were so already leave none."""
    place.publish("calm")
    where, body = "/api/v1/projects/calm", {"status": "archived"}
    yank = {"yanked": True}
    place.ask("PATCH", f"{where}/releases/1.0", auth=ADMIN, json=yank).raise_for_status()
    place.ask("PATCH", where, auth=ADMIN, json=body).raise_for_status()
    before = place.trail()
    place.ask("PATCH", where, auth=ADMIN, json=body).raise_for_status()
    place.ask("PATCH", f"{where}/releases/1.0", auth=ADMIN, json=yank).raise_for_status()
    assert since(place, before) == []


@pytest.mark.parametrize(
    "path",
    [
        *(f"/api/v1/audit?{name}=a%00b" for name in ("action", "actor", "target")),
        *(f"/api/v1/projects?{name}=a%00b" for name in ("query", "cursor")),
        "/api/v1/tokens?owner=a%00b",
    ],
)
def test_what_no_database_can_hold_is_asked_of_none(place: Site, path: str) -> None:
    """A NUL in what is looked for is the client's mistake; PostgreSQL takes it for an error."""
    for accept in ("application/json", "application/x-ndjson"):
        answer = place.ask("GET", path, auth=ADMIN, headers={"Accept": accept})
        assert answer.status_code == 400, answer.text


def test_what_was_so_already_is_no_entry(place: Site) -> None:
    """A member, a grant, an approval, an open door: each leaves one where it is new alone."""
    place.ask("PUT", "/api/v1/groups/calm", auth=ADMIN).raise_for_status()
    member, everyone = "/api/v1/groups/calm/members/alice", "/api/v1/projects/idle/grants/everyone"
    now = place.ask("GET", "/api/v1/registrations", auth=ADMIN).json()["open"]
    rights = {"permissions": ["read"]}
    steps: tuple[tuple[str, str, Any, list[str]], ...] = (
        ("PUT", member, None, ["group.member.add"]),
        ("DELETE", member, None, ["group.member.remove"]),
        ("PUT", everyone, rights, ["grant.set"]),
        ("DELETE", everyone, None, ["grant.delete"]),
        ("POST", "/api/v1/registrations/alice/approve", None, []),
        ("PUT", "/api/v1/registrations", {"open": now}, []),
    )
    for method, path, body, expected in steps:
        for actions in (expected, []):
            before = place.trail()
            place.ask(method, path, auth=ADMIN, json=body).raise_for_status()
            assert [entry.action for entry in since(place, before)] == actions, (method, path)


def test_the_credential_is_named_and_never_told(place: Site) -> None:
    """What a token did names the token's id; its secret is in no entry."""
    made = place.token(admin=True, permissions=["read", "manage"])
    place.publish("watched")
    body = {"status": "deprecated"}
    answer = place.ask("PATCH", "/api/v1/projects/watched", auth=made["token"], json=body)
    answer.raise_for_status()
    entry = place.trail()[-1]
    assert (entry.action, entry.credential) == ("project.status", made["id"])
    assert made["token"][22:] not in repr(place.trail())


def test_refusals_are_noted(place: Site) -> None:
    """Wrong passwords, rights that are missing and scopes that do not reach."""
    place.publish("guarded")
    place.ask("GET", "/simple/", auth=("alice", "not the password"))
    assert noted(place, "auth.login.fail", "user:alice").outcome == "refused"
    place.ask("GET", "/simple/", auth=("hunter2 is my secret", "x"))
    assert noted(place, "auth.login.fail", "user:?").actor is None
    assert "hunter2" not in repr(place.trail())
    place.ask("DELETE", "/api/v1/projects/guarded", auth=("alice", PASSWORD))
    denied = noted(place, "authz.denied", "DELETE /api/v1/projects/guarded")
    assert denied.actor is not None
    assert denied.actor.id == "alice"
    token = place.token(("alice", PASSWORD), projects=["other"])
    place.ask("GET", "/simple/guarded/", auth=token["token"])
    assert noted(place, "token.scope_denied", "GET /simple/guarded/").credential == token["id"]
    assert noted(place, "auth.login.ok", "user:alice").outcome == "ok"


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        ("Bearer pypi-ppcu_mistyped", "token:?"),
        ("Bearer abc", "token:?"),
        ("Basic !!!", "credentials:?"),
        ("Digest abc", "credentials:?"),
    ],
)
def test_credentials_that_cannot_be_read_are_noted(place: Site, sent: str, target: str) -> None:
    """A token that was mistyped, and what is no credential at all, are logins that failed."""
    agent = f"{target} of {len(sent)}"
    answer = place.ask(
        "GET", "/api/v1/account", headers={"Authorization": sent, "User-Agent": agent}
    )
    assert answer.status_code == 401
    found, until = list[str](), time.monotonic() + 60
    while time.monotonic() < until:
        found = [e.target for e in place.trail(action="auth.login.fail") if e.agent == agent]
        if found:
            break
        time.sleep(0.2)
    assert found == [target]


def test_refused_files_are_noted(place: Site) -> None:
    """A file that breaks a rule, and other bytes under a name that is taken."""
    made = place.publish("upright")
    other = make_wheel("upright", "1.0", summary="another")
    assert place.upload(other, "upright", auth=ADMIN).status_code == 400
    entry = noted(place, "file.refuse", f"file:upright/{made.filename}")
    assert entry.actor is not None
    assert (entry.actor.id, entry.outcome) == ("admin", "refused")


def test_the_trail_is_read_a_page_at_a_time(place: Site) -> None:
    """Ascending, with a number to go on from, filtered by action, actor and target."""
    for _ in range(3):
        place.token()
    entries = []
    after: int | None = 0
    while after is not None:
        path = f"/api/v1/audit?action=token.create&limit=2&after={after}"
        page = place.ask("GET", path, auth=ADMIN).json()
        assert len(page["entries"]) <= 2
        entries += page["entries"]
        after = page["next"]
    expected = place.trail(action="token.create")
    assert [entry["number"] for entry in entries] == [entry.number for entry in expected]
    by = place.ask("GET", "/api/v1/audit?actor=user:alice&limit=1000", auth=ADMIN).json()
    assert {entry["actor"]["id"] for entry in by["entries"]} <= {"alice"}


def test_the_trail_is_exported_as_lines(place: Site) -> None:
    """Asked for JSON lines, all of it comes, and the chain can be verified from them."""
    answer = place.ask(
        "GET", "/api/v1/audit", auth=ADMIN, headers={"Accept": "application/x-ndjson"}
    )
    assert answer.headers["content-type"] == "application/x-ndjson"
    entries = [trail.unpacked(line) for line in answer.content.splitlines()]
    assert entries == place.trail()[: len(entries)]
    before = ""
    for number, line in enumerate(answer.content.splitlines(), 1):
        told = json.loads(line)
        assert told["number"] == number
        plain = json.dumps({**told, "head": ""}, sort_keys=True, separators=(",", ":"))
        before = hashlib.sha256(f"{before}\n{plain}".encode()).hexdigest()
        assert told["head"] == before


def test_the_trail_is_for_admins(place: Site) -> None:
    """Others are refused, and that is noted too."""
    assert place.ask("GET", "/api/v1/audit", auth=("alice", PASSWORD)).status_code == 403
    assert noted(place, "authz.denied", "GET /api/v1/audit").actor is not None
    assert place.ask("GET", "/api/v1/audit?limit=0", auth=ADMIN).status_code == 400


def test_t18_guessing_ends_in_429(tmp_path: Path) -> None:
    """After ten wrong passwords the address is told to come back, in whole seconds."""
    with site(tmp_path) as place:
        for n in range(10):
            assert place.ask("GET", "/simple/", auth=("admin", f"guess {n}")).status_code == 401
        refused = place.ask("GET", "/simple/", auth=ADMIN)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "300"
        assert refused.json()["message"].startswith("Too many attempts")
        assert noted(place, "auth.login.locked", "user:admin").outcome == "refused"


def test_uploads_and_new_projects_are_limited_where_a_setting_says_so(tmp_path: Path) -> None:
    """So many an hour of each user; names that are there already are not new."""
    limits = {"uploads": 4, "projects": 2}
    with site(tmp_path, limits=limits, default_write=frozenset({"authenticated"})) as place:
        alice = place.user("alice")
        for name in ("one", "two"):
            place.publish(name, auth=alice)
        third = make_wheel("three", "1.0")
        refused = place.upload(third, "three", auth=alice)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
        second = make_wheel("one", "2.0")
        assert place.upload(second, "one", auth=alice, version="2.0").status_code == 200
        fifth = make_wheel("one", "3.0")
        assert place.upload(fifth, "one", auth=alice, version="3.0").status_code == 429
        place.publish("three")


def test_searches_are_limited(tmp_path: Path) -> None:
    """So many a minute of one address, over both doors; lists that search nothing are free."""
    with site(tmp_path, limits={"searches": 2}) as place:
        call = (
            "<?xml version='1.0'?><methodCall><methodName>search</methodName><params><param>"
            "<value><struct><member><name>name</name><value><string>x</string></value></member>"
            "</struct></value></param></params></methodCall>"
        )
        headers = {"Content-Type": "text/xml"}
        found = place.ask("POST", "/pypi", auth=ADMIN, content=call, headers=headers)
        assert found.status_code == 200
        assert place.ask("GET", "/api/v1/projects?query=x", auth=ADMIN).status_code == 200
        refused = place.ask("POST", "/pypi", auth=ADMIN, content=call, headers=headers)
        assert refused.status_code == 429
        assert place.ask("GET", "/api/v1/projects?query=x", auth=ADMIN).status_code == 429
        assert place.ask("GET", "/api/v1/projects", auth=ADMIN).status_code == 200


@pytest.mark.parametrize("size", [0, 4 * 2**20])
def test_bytes_that_are_not_what_was_recorded_are_noted(tmp_path: Path, size: int) -> None:
    """Whoever downloads such a file leaves an entry, also where its body had begun."""
    folder = tmp_path / "packages"
    with site(tmp_path, storage=f"file:{folder}", delivery="stream") as place:
        noise = Random(size).randbytes(size)
        made = make_wheel("spoiled", "1.0", files={"spoiled/noise.bin": noise})
        place.upload(made, "spoiled", auth=ADMIN).raise_for_status()
        (blob,) = folder.glob(f"blobs/spoiled/*/{made.filename}")
        content = bytearray(blob.read_bytes())
        content[-1] ^= 1
        blob.chmod(0o600)
        blob.write_bytes(content)
        path = f"/files/spoiled/{made.filename}"
        if size:
            with pytest.raises(httpx.TransportError):
                place.ask("GET", path, auth=ADMIN)
        else:
            assert place.ask("GET", path, auth=ADMIN).status_code == 500
        entry = noted(place, "integrity.failure", path)
        assert entry.outcome == "fail"
        assert entry.actor is not None
        assert "sha256" in str(entry.after)


async def test_what_is_removed_for_good_is_noted(tmp_path: Path) -> None:
    """The bytes of deleted files are gone after their grace, and an entry says how many."""
    async with opened(tmp_path) as stage:
        index = Index(stage.storage, stage.cache, delete_grace=timedelta(0))
        made = make_wheel("gone", "1.0")
        file = await stage.publish(made)
        await index.delete(file, ADA)
        ledger = stage.access.ledger  # type: ignore[attr-defined]  # the backend of SQL has one
        chronicle = Chronicle(ledger.trail, exists=_nobody)
        now_and_then = timedelta(milliseconds=10)
        async with keep(
            index,
            reconcile_every=timedelta(hours=1),
            collect_every=now_and_then,
            heard=noting(chronicle),
        ):
            entries: list[Entry] = []
            async with asyncio.timeout(60):
                while not entries:
                    await asyncio.sleep(0.05)
                    entries = [one async for one in ledger.trail.entries(action="gc")]
        (entry,) = entries
        assert entry.actor == SYSTEM
        assert entry.after == {"purged": 1, "orphans": 0, "size": len(made.content)}


async def _nobody(name: str) -> bool:
    return False
