"""``token …`` and ``audit …``, on real files."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from app import plugins
from app.access.authentication import Authenticator, Proof
from app.access.limits import Limits
from app.access.tokens import PATTERN
from app.cli import audit, tokens
from app.models import Identity, Permission
from tests.cli.test_users import PASSWORD, Line


class TokenLine(Line):
    """The command line, with these commands."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment["PYPICLOUD_STORAGE"] = f"file:{folder}/packages"
        self.commands.add_typer(tokens.commands)
        self.commands.add_typer(audit.commands)
        self.file = folder / "access.db"

    def who(self, token: str) -> Identity:
        """Who a server with the same settings takes the token for."""

        async def ask() -> Identity:
            async with plugins.backend("access", self.access)(self.access, {}) as access:
                logins = Authenticator(
                    access,
                    access.ledger,
                    Limits(access.ledger.attempts),
                    unused_after=timedelta(days=90),
                    used=lambda id, now: None,
                )
                return await logins.identify(Proof(None, token, "127.0.0.1"), lambda *_, **__: None)

        return asyncio.run(ask())


@pytest.fixture
def line(tmp_path: Path) -> TokenLine:
    """A command line with a user alice."""
    made = TokenLine(tmp_path / "data")
    made.done("user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    return made


def test_a_token_that_ended_is_marked(line: TokenLine) -> None:
    """It was not used for as long as the setting says, or it expired."""
    line.done("token", "create", "alice", "--permission", "read", "--days", "100")
    assert "until 20" in line.done("token", "list")
    line.environment["PYPICLOUD_TOKENS__UNUSED_AFTER"] = "0.001"
    assert "unused, refused since 20" in line.done("token", "list")
    (listed,) = json.loads(line.done("token", "list", "--json"))
    assert listed["created"] < listed["ends"] < listed["expires"]


def test_a_token_from_beginning_to_end(line: TokenLine) -> None:
    """Created, it is its owner with what was asked for; listed; revoked, it is gone."""
    text = line.done(
        *("token", "create", "Alice", "--name", "ci", "--project", "Flask", "--project", "corp-*"),
        *("--permission", "read", "--permission", "upload", "--days", "7", "--creates"),
    ).strip()
    assert PATTERN.fullmatch(text)
    identity = line.who(text)
    assert identity.actor.id == "alice"
    assert identity.scope is not None
    assert identity.scope.projects == {"flask": None, "corp-*": None}
    assert identity.scope.permissions == {Permission.READ, Permission.UPLOAD}
    assert identity.scope.creates
    (listed,) = json.loads(line.done("token", "list", "alice", "--json"))
    assert (listed["id"], listed["name"]) == (text[10:22], "ci")
    assert text[22:] not in line.done("token", "list", "--json") + line.done("token", "list")
    assert line.done("token", "revoke", text[10:22]) == f"Revoked {text[10:22]}.\n"
    assert line.done("token", "list") == ""
    actions = [(change.action, change.filename) for change in line.changes()][1:]
    assert actions == [
        ("token.create", f"token:{text[10:22]}"),
        ("token.revoke", f"token:{text[10:22]}"),
    ]


def test_all_tokens_of_a_user_are_revoked(line: TokenLine) -> None:
    """As when a laptop is lost."""
    for _ in range(3):
        line.done("token", "create", "alice")
    assert line.done("token", "revoke", "--owner", "alice").count("Revoked ") == 3
    assert line.done("token", "list", "alice") == ""


def test_mistakes_are_one_line(line: TokenLine) -> None:
    """1 for who or what is not there, 2 for what is wrong."""
    assert line.failed("token", "create", "bob") == (1, "Error: There is no user 'bob'.")
    code, text = line.failed("token", "revoke", "abcdefabcdef")
    assert (code, text) == (1, "Error: There is no token 'abcdefabcdef'.")
    code, text = line.failed("token", "revoke")
    assert (code, text) == (2, "Error: Name the ids of tokens, or --owner.")
    for wrong in (("--project", "a b"), ("--network", "x"), ("--days", "400"), ("--admin",)):
        code, _ = line.failed("token", "create", "alice", *wrong)
        assert code == 2
    assert line.done("token", "list") == ""


def test_what_the_operator_does_is_in_the_trail(line: TokenLine) -> None:
    """Each command that changes something is one entry, by the operator."""
    text = line.done("token", "create", "alice", "--name", "ci").strip()
    line.done("user", "disable", "alice")
    listed = line.done("audit", "list").splitlines()
    assert [entry.split("  ")[2] for entry in listed] == [
        "user.create",
        "token.create",
        "user.disable",
    ]
    assert all("  operator:" in entry for entry in listed)
    assert [entry.split("  ")[4] for entry in listed] == [
        "user:alice",
        f"token:{text[10:22]}",
        "user:alice",
    ]
    (one,) = line.done("audit", "list", "--action", "token.create").splitlines()
    assert f"token:{text[10:22]}" in one
    assert line.done("audit", "list", "--after", "2", "--limit", "5").count("\n") == 1


def test_the_trail_is_verified(line: TokenLine, tmp_path: Path) -> None:
    """Whole, it says its end; cut or changed, it says what is wrong, and ends with 1."""
    for _ in range(3):
        line.done("token", "create", "alice")
    said = line.done("audit", "verify")
    match = re.fullmatch(r"4 entries, whole\. (4:[0-9a-f]{64})\n", said)
    assert match is not None
    exported = tmp_path / "trail.jsonl"
    exported.write_text(line.done("audit", "export"))
    assert line.done("audit", "verify", str(exported)) == said
    assert line.done("audit", "verify", "--known", match[1]) == said

    lines = exported.read_text().splitlines(keepends=True)
    exported.write_text("".join([lines[0], lines[2], lines[3]]))
    assert "entry 2 is missing" in line.failed("audit", "verify", str(exported))[1]
    exported.write_text("".join([lines[0].replace("alice", "mallory"), *lines[1:]]))
    assert "entry 1 is not what was written" in line.failed("audit", "verify", str(exported))[1]
    exported.write_text("no entry\n")
    assert line.failed("audit", "verify", str(exported))[0] == 2
    assert line.failed("audit", "verify", str(tmp_path / "nothing"))[0] == 2

    with closing(sqlite3.connect(line.file)) as database, database:
        database.execute("DELETE FROM pypicloud_ledger_trail WHERE number = 4")
    assert line.done("audit", "verify").startswith("3 entries, whole.")
    code, text = line.failed("audit", "verify", "--known", match[1])
    assert (code, text) == (1, "Error: The trail is not whole: entry 4 is not that one.")


def test_the_ledger_is_where_the_setting_says(line: TokenLine, tmp_path: Path) -> None:
    """Tokens may be kept elsewhere than users."""
    line.environment["PYPICLOUD_LEDGER"] = f"sqlite+aiosqlite:///{tmp_path}/ledger.db"
    line.done("token", "create", "alice")
    assert line.done("token", "list").count("\n") == 1
    del line.environment["PYPICLOUD_LEDGER"]
    assert line.done("token", "list") == ""
