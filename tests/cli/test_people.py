"""``group …``, ``grant …``, ``access …`` and invitations, on real files."""

from __future__ import annotations

import asyncio
import gzip
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from passlib import hash as others
from typer.testing import CliRunner, Result

from app import plugins
from app.access import signup
from app.cli.main import app as commands
from app.models import Change, Identity
from tests.servers import ldap

PASSWORD = "a fine long passphrase"
OLD = others.sha512_crypt.using(rounds=1000).hash("the old way")
PYPICLOUD: dict[str, Any] = {
    "allow_register": True,
    "version": "1.3.12",
    "groups": {"Web": ["Ada", "bob"], "empty": []},
    "users": [
        {"username": "Ada", "admin": True, "password": OLD},
        {"username": "bob", "admin": False, "password": OLD},
    ],
    "packages": {
        "users": {"My_Package": {"bob": ["read", "write"]}},
        "groups": {
            "my-package": {"Web": ["read"], "everyone": ["read"]},
            "other": {"authenticated": ["read", "write"]},
        },
    },
    "pending_users": [{"username": "cid", "password": OLD}],
}


class Line:
    """The command line of somebody with settings of their own."""

    def __init__(self, folder: Path) -> None:
        self.access = f"sqlite+aiosqlite:///{folder}/access.db"
        self.cache = f"sqlite+aiosqlite:///{folder}/cache.db"
        self.environment = {
            "PYPICLOUD_ACCESS": self.access,
            "PYPICLOUD_CACHE": self.cache,
            "PYPICLOUD_STORAGE": f"file:{folder}/packages",
        }

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """One command; standard output and standard error are kept apart."""
        return CliRunner().invoke(
            commands, arguments, input=stdin, env={**self.environment, "COLUMNS": "200"}
        )

    def done(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """What a command that succeeds prints."""
        result = self.run(*arguments, stdin=stdin)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def failed(self, *arguments: str, stdin: str | bytes | None = None) -> tuple[int, str]:
        """How a command that fails ends: its exit code and its one line."""
        result = self.run(*arguments, stdin=stdin)
        assert isinstance(result.exception, SystemExit)
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        return result.exit_code, result.stderr.strip()

    def identify(self, name: str, password: str) -> Identity | None:
        """Who this is, for a server with the same settings."""

        async def ask() -> Identity | None:
            async with plugins.backend("access", self.access)(self.access, {}) as access:
                found: Identity | None = await access.identify(name, password)
                return found

        return asyncio.run(ask())

    def build(self) -> None:
        """Have the cache count as built."""
        self.done("reindex")

    def actions(self) -> list[tuple[str, str | None]]:
        """What was recorded of access."""

        async def ask() -> list[Change]:
            async with plugins.backend("cache", self.cache)(self.cache, {}) as cache:
                return list(await cache.changes(0))

        changes = asyncio.run(ask())
        return [(one.action, one.filename) for one in changes if one.project is None]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A command line where there is nobody yet."""
    return Line(tmp_path / "data")


def test_a_group_from_beginning_to_end(line: Line) -> None:
    """Added, joined, listed, left, deleted; each is recorded."""
    line.done("user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    assert line.done("group", "add", "Web") == "Added group web.\n"
    line.done("group", "add", "empty")
    assert line.done("group", "join", "WEB", "Alice") == "alice is in group web.\n"
    assert line.done("group", "list") == "empty\nweb    alice\n"
    assert json.loads(line.done("group", "list", "--json")) == {"empty": [], "web": ["alice"]}
    identity = line.identify("alice", PASSWORD)
    assert identity is not None
    assert "group:web" in identity.principals
    line.done("group", "leave", "web", "alice")
    line.done("group", "delete", "web")
    assert line.done("group", "list") == "empty\n"
    assert line.failed("group", "join", "web", "alice") == (1, "Error: There is no group 'web'.")
    assert line.failed("group", "join", "empty", "eve") == (1, "Error: There is no user 'eve'.")
    assert line.failed("group", "add", "Empty") == (1, "Error: Group 'empty' exists already.")
    assert line.failed("group", "add", "everyone")[0] == 2
    assert [one for one in line.actions() if one[1] == "web"] == [
        ("group.create", "web"),
        ("group.member.add", "web"),
        ("group.member.remove", "web"),
        ("group.delete", "web"),
    ]


def test_a_grant_from_beginning_to_end(line: Line) -> None:
    """Set on a project that will come, however it is spelled, listed, and taken away."""
    printed = line.done("grant", "set", "My_Project", "everyone", "read", "upload")
    assert printed == "everyone has read, upload on My_Project, once it is there.\n"
    assert line.done("grant", "list", "my.project") == "everyone  read, upload\n"
    assert json.loads(line.done("grant", "list", "my-project", "--json")) == {
        "everyone": ["read", "upload"]
    }
    line.done("grant", "delete", "my-project", "everyone")
    assert line.done("grant", "list", "my-project") == ""
    assert line.failed("grant", "set", "x", "user:eve", "read") == (
        1,
        "Error: There is no user 'eve'.",
    )
    assert line.failed("grant", "set", "x", "eve", "read")[0] == 2
    assert line.run("grant", "set", "x", "everyone", "write").exit_code == 2
    assert ("grant.set", "my-project everyone") in line.actions()


def test_pypiclouds_export_is_taken_in(line: Line, tmp_path: Path) -> None:
    """Users with their old passwords, groups, grants on every spelling, who waits: all of it."""
    line.build()
    packed = tmp_path / "acl.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(PYPICLOUD).encode()))
    said = line.done("access", "import", str(packed), "--dry-run")
    assert "+ user ada (admin)\n" in said
    assert "+ user cid (pending)\n" in said
    assert "+ bob in group web\n" in said
    assert "~ user:bob on my-package (not there yet): nothing -> read, upload\n" in said
    assert "~ everyone on my-package (not there yet): nothing -> read\n" in said
    assert "~ registration: open\n" in said
    assert said.endswith(" things would change.\n")
    assert line.done("user", "list") == ""
    taken = line.done("access", "import", str(packed))
    assert taken == said.replace("would change", "changed")
    assert line.done("access", "import", "-", stdin=json.dumps(PYPICLOUD)) == "0 things changed.\n"
    ada = line.identify("ADA", "the old way")
    assert ada is not None
    assert ada.admin
    assert "group:web" in ada.principals
    assert line.identify("cid", "the old way") is None
    assert line.done("user", "list") == "ada  admin\nbob\ncid  pending\n"
    assert line.done("access", "registration") == "Registration is open.\n"
    granted = json.loads(line.done("grant", "list", "my.package", "--json"))
    assert granted == {"everyone": ["read"], "group:web": ["read"], "user:bob": ["read", "upload"]}
    assert line.actions().count(("config.import", "access")) == 1


def test_what_is_exported_is_imported_elsewhere(line: Line, tmp_path: Path) -> None:
    """Another backend gives the same export; the words of former times mean what they meant."""
    line.build()
    line.done("access", "import", "-", stdin=json.dumps(PYPICLOUD))
    line.done("user", "disable", "bob")
    line.done("grant", "set", "other", "group:web", "manage", "read")
    line.done("user", "add", "eve", "--admin", "--password-stdin", stdin=PASSWORD)
    file = tmp_path / "people.json"
    line.done("access", "export", "-o", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    exported = json.loads(file.read_bytes())
    assert exported["packages"]["groups"]["my-package"] == {"everyone": ["read"], "web": ["read"]}
    assert exported["packages"]["users"] == {"my-package": {"bob": ["read", "write"]}}
    assert exported["users"][0] == {"username": "ada", "admin": True, "password": OLD}
    assert exported["pending_users"] == [{"username": "cid", "password": OLD}]
    assert exported["extra"]["disabled"] == ["bob"]
    assert exported["extra"]["permissions"] == {"other": {"group:web": ["manage"]}}
    other = Line(tmp_path / "elsewhere")
    other.build()
    other.done("access", "import", str(file))
    assert other.done("access", "export").encode() == file.read_bytes()
    assert other.identify("eve", PASSWORD) == line.identify("eve", PASSWORD)


def test_users_of_a_file_are_exported(line: Line, tmp_path: Path) -> None:
    """From a file that an operator wrote, too; into one nothing is brought."""
    line.build()
    file = tmp_path / "users.ini"
    file.write_text(f"[app:main]\nuser.ada = {OLD}\npackage.x_y.group.everyone = r\n")
    line.environment["PYPICLOUD_ACCESS"] = f"config:{file}"
    line.environment["PYPICLOUD_LEDGER"] = f"sqlite+aiosqlite:///{tmp_path}/ledger.db"
    exported = json.loads(line.done("access", "export"))
    assert exported["users"] == [{"username": "ada", "admin": False, "password": OLD}]
    assert exported["packages"]["groups"] == {"x-y": {"everyone": ["read"]}}
    assert line.done("user", "list") == "ada\n"
    code, text = line.failed("access", "import", "-", stdin=json.dumps(exported))
    assert (code, "changed there, not here" in text) == (1, True)
    assert line.failed("group", "add", "web")[0] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"users": [{"username": "a b", "password": OLD}]},
        {"users": [{"username": "eve", "password": "plain"}]},
        {"users": [{"username": "Eve"}, {"username": "eve"}]},
        {"users": {"eve": OLD}},
        {"groups": {"a b": []}},
        {"packages": {"users": {"x": {"bob": ["fly"]}}, "groups": {}}},
        {"packages": {"users": {"-": {"bob": ["read"]}}, "groups": {}}},
    ],
)
def test_a_wrong_export_changes_nothing(line: Line, change: dict[str, Any]) -> None:
    """What is wrong with one thing keeps all out, in one line."""
    line.build()
    for more in ([], ["--dry-run"]):
        text = json.dumps({**PYPICLOUD, **change})
        assert line.failed("access", "import", "-", *more, stdin=text)[0] == 2
    assert line.done("user", "list") == ""
    assert line.done("group", "list") == ""


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\x1f\x8bx", b"\xff"])
def test_what_is_no_export_is_one_line(line: Line, text: bytes) -> None:
    """Neither JSON nor gzip, or cut off."""
    line.build()
    code, said = line.failed("access", "import", "-", stdin=text)
    assert code in (1, 2)
    assert said.startswith("Error: ")


def test_registration_is_opened_and_closed(line: Line) -> None:
    """Asked, opened, closed; and who registered is approved."""
    assert line.done("access", "registration") == "Registration is closed.\n"
    assert line.done("access", "registration", "open") == "Registration is open.\n"
    assert line.done("access", "registration", "closed") == "Registration is closed.\n"
    assert line.failed("access", "registration", "ajar")[0] == 2
    line.build()
    line.done("access", "import", "-", stdin=json.dumps(PYPICLOUD))
    assert line.done("user", "approve", "Cid") == "Approved cid.\n"
    assert line.identify("cid", "the old way") is not None


def test_an_invitation_is_a_token(line: Line) -> None:
    """Printed alone, for a name that is free, where there is a key to sign it with."""
    assert line.failed("user", "invite", "ada") == (2, "Error: PYPICLOUD_SIGNUP_KEY is not set.")
    line.environment["PYPICLOUD_SIGNUP_KEY"] = "k" * 31
    assert "PYPICLOUD_SIGNUP_KEY" in line.failed("user", "invite", "ada")[1]
    line.environment["PYPICLOUD_SIGNUP_KEY"] = "k" * 32
    printed = line.done("user", "invite", "Ada", "--days", "2")
    assert printed.startswith("signup-")
    assert printed.count("\n") == 1
    now = datetime.now(UTC)
    invitation = signup.read(printed.strip(), "k" * 32, now)
    assert invitation.name == "ada"
    assert timedelta(days=1, hours=23) < invitation.expires - now <= timedelta(days=2)
    line.done("user", "add", "ada", "--password-stdin", stdin=PASSWORD)
    assert line.failed("user", "invite", "ADA") == (1, "Error: User 'ada' exists already.")


def test_what_concerns_everybody_is_in_the_trail(line: Line, tmp_path: Path) -> None:
    """Imports, exports, registration and reindexing, each an entry with what it did."""
    line.build()
    line.done("access", "import", "-", "--dry-run", stdin=json.dumps(PYPICLOUD))
    line.done("access", "import", "-", stdin=json.dumps(PYPICLOUD))
    line.done("access", "import", "-", stdin=json.dumps(PYPICLOUD))
    exported = line.done("access", "export")
    line.done("access", "registration", "closed")
    said = line.done("audit", "export")
    entries = [json.loads(one) for one in said.splitlines()]
    told = [(one["action"], one["target"]) for one in entries]
    assert told == [
        ("reindex", ""),
        ("config.import", "config:access"),
        ("config.export", "config:access"),
        ("config.change", "config:registration"),
    ]
    reindexed, imported, taken_out, changed = (one["after"] for one in entries)
    assert reindexed["files"] == 0
    assert imported["changed"] == len(imported["lines"])
    assert "+ user ada (admin)" in imported["lines"]
    assert taken_out == {"users": 3, "groups": 2, "grants": 4}
    assert changed == {"open": False}
    assert OLD in exported
    assert OLD not in said


def test_what_does_not_agree_is_in_the_trail(line: Line, tmp_path: Path) -> None:
    """A check that finds something is an entry with what that was; one that does not is none."""
    line.build()
    assert line.done("check").endswith("all agree.\n")
    stray = tmp_path / "data" / "packages" / "journal" / "demo" / "demo-1.0.tar.gz"
    stray.mkdir(parents=True)
    (stray / "0000000001.json").write_text("{}")
    assert line.run("check").exit_code == 1
    lines = line.done("audit", "list", "--action", "integrity.failure").splitlines()
    assert len(lines) == 1
    (entry,) = (json.loads(one) for one in line.done("audit", "export").splitlines()[1:])
    assert entry["after"]["findings"] >= 1
    assert "demo" in entry["after"]["lines"][0]


def test_a_database_beside_a_directory(line: Line) -> None:
    """What the database holds is brought in, written out; the directory lists nobody."""
    line.environment |= {
        "PYPICLOUD_ACCESS": f"{ldap.server().url},{line.access}",
        "PYPICLOUD_LDAP__BIND_DN": ldap.SERVICE[0],
        "PYPICLOUD_LDAP__BIND_PASSWORD": ldap.SERVICE[1],
        "PYPICLOUD_LDAP__BASE_DN": ldap.PEOPLE,
        "PYPICLOUD_LDAP__USER_FILTER": "(uid={username})",
    }
    given = {**PYPICLOUD, "groups": {"web": ["alice", "bob"]}}  # alice is the directory's
    line.done("access", "import", "-", stdin=json.dumps(given))
    written = json.loads(line.done("access", "export"))
    assert [user["username"] for user in written["users"]] == ["ada", "bob"]
    assert written["groups"] == {"web": ["alice", "bob"]}
