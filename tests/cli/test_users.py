"""``user …`` and ``hash-password``, on real files."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from app import plugins
from app.access.hashes import verify
from app.access.ledger import Entry
from app.access.ledger_sql import SqlLedger
from app.cli import users
from app.models import Change, Identity
from tests.access.ledgers import opened
from tests.contracts.ledger import SESSION

PASSWORD = "a fine long passphrase"
OTHER = "quite another passphrase"
USER = {"admin": False, "disabled": False, "pending": False, "groups": []}


class Line:
    """The command line of somebody with settings of their own."""

    def __init__(self, folder: Path) -> None:
        self.access = f"sqlite+aiosqlite:///{folder}/access.db"
        self.cache = f"sqlite+aiosqlite:///{folder}/cache.db"
        self.environment = {"PYPICLOUD_ACCESS": self.access, "PYPICLOUD_CACHE": self.cache}
        self.commands = typer.Typer()
        self.commands.add_typer(users.commands)
        self.commands.command("hash-password")(users.hash_password)

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """One command; standard output and standard error are kept apart."""
        return CliRunner().invoke(
            self.commands, arguments, input=stdin, env={**self.environment, "COLUMNS": "200"}
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

    def changes(self) -> list[Change]:
        """What was recorded."""

        async def ask() -> list[Change]:
            async with plugins.backend("cache", self.cache)(self.cache, {}) as cache:
                return list(await cache.changes(0))

        return asyncio.run(ask())


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A command line where there are no users yet."""
    return Line(tmp_path / "data")


def test_a_user_from_beginning_to_end(line: Line) -> None:
    """Added, given another password, disabled, enabled, made admin and not, deleted."""
    assert line.done("user", "add", "Alice", "--password-stdin", stdin=f"{PASSWORD}\n") == (
        "Added user alice.\n"
    )
    assert line.identify("alice", PASSWORD) is not None
    line.done("user", "passwd", "alice", "--password-stdin", stdin=OTHER)
    assert line.identify("alice", PASSWORD) is None
    assert line.identify("alice", OTHER) is not None
    line.done("user", "disable", "alice")
    assert line.identify("alice", OTHER) is None
    line.done("user", "enable", "alice")
    line.done("user", "admin", "alice")
    identity = line.identify("alice", OTHER)
    assert identity is not None
    assert identity.admin
    line.done("user", "admin", "alice", "--revoke")
    identity = line.identify("alice", OTHER)
    assert identity is not None
    assert not identity.admin
    line.done("user", "delete", "ALICE")
    assert line.done("user", "list") == ""
    assert [(change.action, change.filename) for change in line.changes()] == [
        ("user.create", "alice"),
        ("user.password.change", "alice"),
        ("user.disable", "alice"),
        ("user.enable", "alice"),
        ("user.admin.grant", "alice"),
        ("user.admin.revoke", "alice"),
        ("user.delete", "alice"),
    ]
    assert {change.actor.kind for change in line.changes()} == {"operator"}
    assert {change.project for change in line.changes()} == {None}


def test_sessions_end_with_what_is_changed(line: Line) -> None:
    """Of the user alone; and the trail says what there was before and after."""

    async def with_ledger(act: Callable[[SqlLedger], Awaitable[Any]]) -> Any:
        async with opened(line.access) as ledger:
            return await act(ledger)

    async def entries(ledger: SqlLedger) -> list[Entry]:
        return [entry async for entry in ledger.trail.entries()]

    line.done("user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    other = replace(SESSION, digest="0" * 64, user="bob")
    asyncio.run(with_ledger(lambda ledger: ledger.sessions.add(other)))
    for arguments, given in (
        (("user", "passwd", "alice", "--password-stdin"), OTHER),
        (("user", "admin", "alice"), None),
        (("user", "disable", "alice"), None),
        (("user", "enable", "alice"), None),
    ):
        asyncio.run(with_ledger(lambda ledger: ledger.sessions.add(SESSION)))
        line.done(*arguments, stdin=given)
        assert not asyncio.run(with_ledger(lambda ledger: ledger.sessions.of("alice")))
    assert asyncio.run(with_ledger(lambda ledger: ledger.sessions.of("bob")))
    told = asyncio.run(with_ledger(entries))
    assert [(entry.action, entry.before, entry.after) for entry in told] == [
        ("user.create", None, USER),
        ("user.password.change", None, None),
        ("user.admin.grant", USER, {**USER, "admin": True}),
        ("user.disable", {**USER, "admin": True}, {**USER, "admin": True, "disabled": True}),
        ("user.enable", {**USER, "admin": True, "disabled": True}, {**USER, "admin": True}),
    ]


def test_users_are_listed(line: Line) -> None:
    """As lines for people, as JSON for scripts; no hash in either."""
    line.done("user", "add", "bob", "--admin", "--password-stdin", stdin=PASSWORD)
    line.done("user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    line.done("user", "disable", "bob")
    assert line.done("user", "list") == "alice\nbob    admin, disabled\n"
    assert json.loads(line.done("user", "list", "--json")) == [
        {**USER, "name": "alice"},
        {**USER, "name": "bob", "admin": True, "disabled": True},
    ]


def test_a_password_is_asked_for_twice(line: Line) -> None:
    """Typed passwords are confirmed, and never shown."""
    result = line.run("user", "add", "alice", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert line.identify("alice", PASSWORD) is not None
    result = line.run("user", "add", "bob", stdin=f"{PASSWORD}\n{OTHER}\n")
    assert result.exit_code == 1
    assert line.identify("bob", PASSWORD) is None


@pytest.mark.parametrize(
    ("stdin", "password"),
    [
        (f"{PASSWORD}\n", PASSWORD),
        (f"{PASSWORD}\r\n", PASSWORD),
        (f"{PASSWORD}\n\n", f"{PASSWORD}\n"),
        (f" {PASSWORD} ", f" {PASSWORD} "),
        ("pässphräse, wörthy\n", "pässphräse, wörthy"),
    ],
)
def test_one_newline_at_the_end_is_no_part_of_the_password(
    line: Line, stdin: str, password: str
) -> None:
    """Of standard input one newline is dropped and everything else kept."""
    hashed = line.done("hash-password", "--password-stdin", stdin=stdin)
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hashed.count("\n") == 1
    assert verify(hashed.strip(), password.encode())


def test_hash_password_prints_nothing_but_the_hash(line: Line) -> None:
    """The prompts go to standard error, so that the output can be kept."""
    result = line.run("hash-password", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert verify(result.stdout.strip(), PASSWORD.encode())
    assert PASSWORD not in result.output


def test_mistakes_are_one_line(line: Line) -> None:
    """What cannot be done is said in one line: 1 for what is there or not, 2 for what is wrong."""
    line.done("user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    again = line.failed("user", "add", "ALICE", "--password-stdin", stdin=PASSWORD)
    assert again == (1, "Error: User 'alice' exists already.")
    for command in ("disable", "enable", "admin", "delete"):
        assert line.failed("user", command, "bob") == (1, "Error: There is no user 'bob'.")
    code, text = line.failed("user", "passwd", "alice", "--password-stdin", stdin="short")
    assert (code, text) == (2, "Error: A password has at least 12 bytes.")
    code, text = line.failed("user", "add", "__token__", "--password-stdin", stdin=PASSWORD)
    assert code == 2
    assert "A user name has" in text
    code, text = line.failed("user", "add", "bob", "--password-stdin", stdin=b"\xff\xfe" * 10)
    assert (code, text) == (2, "Error: The password on standard input is not UTF-8.")
    assert len(line.changes()) == 1


def test_bad_settings_are_one_line(line: Line) -> None:
    """A setting that cannot work ends the command with its name."""
    line.environment["PYPICLOUD_ACCESS"] = "nowhere://x"
    code, text = line.failed("user", "list")
    assert code == 2
    assert "nowhere" in text
    line.environment["PYPICLOUD_PASSWORD_MIN_LENGTH"] = "3"
    code, text = line.failed("hash-password", "--password-stdin", stdin=PASSWORD)
    assert code == 2
    assert "PYPICLOUD_PASSWORD_MIN_LENGTH" in text


def test_the_least_length_is_a_setting(line: Line) -> None:
    """PYPICLOUD_PASSWORD_MIN_LENGTH holds for users and for hash-password."""
    line.environment["PYPICLOUD_PASSWORD_MIN_LENGTH"] = "30"
    for command in (["user", "add", "alice"], ["hash-password"]):
        code, text = line.failed(*command, "--password-stdin", stdin=PASSWORD)
        assert (code, text) == (2, "Error: A password has at least 30 bytes.")


def test_without_the_cache_the_edit_stands(line: Line, tmp_path: Path) -> None:
    """Where the change cannot be recorded a line warns of it, and the user is disabled."""
    line.done("user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    (tmp_path / "occupied").write_text("no database, but a file\n" * 100)
    line.environment["PYPICLOUD_CACHE"] = f"sqlite+aiosqlite:///{tmp_path}/occupied"
    result = line.run("user", "disable", "alice")
    assert (result.exit_code, result.stdout) == (0, "Disabled alice.\n")
    assert result.stderr.startswith("Warning: done, but not recorded among the changes: ")
    assert result.stderr.count("\n") == 1
    assert line.identify("alice", PASSWORD) is None


def test_a_real_process(line: Line) -> None:
    """As a process of its own it says the same, without a traceback."""
    command = [sys.executable, "-c", "from app.cli.users import commands; commands()"]
    environment = {**line.environment, "PATH": ""}
    added = subprocess.run(
        [*command, "add", "alice", "--password-stdin"],
        input=PASSWORD,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (added.returncode, added.stdout, added.stderr) == (0, "Added user alice.\n", "")
    refused = subprocess.run(
        [*command, "delete", "bob"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (refused.returncode, refused.stderr) == (1, "Error: There is no user 'bob'.\n")


def test_a_person_in_another_folder_is_told(tmp_path: Path) -> None:
    """Where the users' file is made by the command, a terminal says so, once; a pipe does not."""
    command = [str(Path(sys.executable).with_name("pypicloud")), "user", "list"]
    told = []
    for _ in range(2):
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as screen:
            ran = subprocess.run(command, cwd=tmp_path, env={}, stderr=theirs, timeout=60)
            os.write(theirs, b"\n")  # so that there is something to read
            told.append(screen.read(4096).decode())
            os.close(theirs)
        assert ran.returncode == 0
    assert f"{tmp_path}/data/access.db is not there, and is made." in told[0]
    assert told[1].strip() == ""
    (quiet := tmp_path / "quiet").mkdir()
    silent = subprocess.run(command, cwd=quiet, env={}, capture_output=True, timeout=60)
    assert (silent.returncode, silent.stderr) == (0, b"")
