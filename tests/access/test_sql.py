"""Access in SQL: the contract, what it costs, and other processes beside it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app import errors, plugins
from app.access.bootstrap import ensure_admin
from app.access.passwords import Passwords
from app.access.sql import SqlAccess, connect
from tests.access.conftest import CHEAP
from tests.contracts.access import OTHER, PASSWORD, AccessContract

SCRIPT = """
import asyncio, sys
from app.access.sql import connect
from app.access.bootstrap import ensure_admin

async def main(url, verb, *arguments):
    async with connect(url, {"password_memory": 64, "password_passes": 1}) as access:
        if verb == "ensure_admin":
            print(await ensure_admin(access, None))
        elif verb == "add_many":
            for n in range(20):
                await access.add_user(f"{arguments[0]}{n}", "a fine long passphrase")
        elif verb == "disable":
            await access.set_disabled(arguments[0], True)
        elif verb == "set_password":
            await access.set_password(*arguments)

asyncio.run(main(*sys.argv[1:]))
"""


def process(url: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that edits the same users."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, *arguments], stdout=subprocess.PIPE, text=True
    )


def finished(other: subprocess.Popen[str]) -> str:
    """What it printed, once it ended well."""
    printed, _ = other.communicate(timeout=60)
    assert other.returncode == 0
    return printed.strip()


class TestSqlAccess(AccessContract):
    """Every clause of the contract, over SQLite."""


async def test_the_right_password_asked_at_once_costs_one_hash(
    counted: SqlAccess, passwords: Passwords
) -> None:
    """Fifty requests at the same time with one right password are one computation."""
    await counted.add_user("alice", PASSWORD)
    before = passwords.computed
    found = await asyncio.gather(*(counted.identify("alice", PASSWORD) for _ in range(50)))
    assert all(identity is not None for identity in found)
    assert passwords.computed - before == 1


async def test_wrong_passwords_are_bounded_by_the_pool(url: str) -> None:
    """Of many guesses at the same time only as many are computed as the pool takes."""
    async with connect(url, {"hash_threads": 1, "hash_queue": 3}) as access:
        await access.add_user("alice", PASSWORD)
        guesses = (access.identify("alice", f"{OTHER} {n}") for n in range(100))
        answers = await asyncio.gather(*guesses, return_exceptions=True)
        assert {type(answer) for answer in answers} == {type(None), errors.Busy}
        assert await access.identify("alice", PASSWORD) is not None


async def test_who_is_remembered_passes_a_full_pool(url: str) -> None:
    """While guesses fill the pool, whoever was right a moment ago needs no place in it."""
    async with connect(url, {"hash_threads": 1, "hash_queue": 2}) as access:
        await access.add_user("alice", PASSWORD)
        assert await access.identify("alice", PASSWORD) is not None
        guesses = [asyncio.create_task(access.identify("bob", f"guess {n}")) for n in range(30)]
        await asyncio.sleep(0.01)
        assert await access.identify("alice", PASSWORD) is not None
        answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert any(isinstance(answer, errors.Busy) for answer in answers)


async def test_aut_5_nobody_costs_what_somebody_costs(
    counted: SqlAccess, passwords: Passwords
) -> None:
    """Unknown, malformed, disabled, wrong and overlong: one computation each, and None."""
    await counted.add_user("alice", PASSWORD)
    await counted.add_user("carol", PASSWORD)
    await counted.set_disabled("carol", True)
    asked = [
        ("alice", OTHER),
        ("alice", "x" * 5000),
        ("alice", ""),
        ("bob", PASSWORD),
        ("no name", PASSWORD),
        ("carol", PASSWORD),
        ("carol", OTHER),
    ]
    for name, password in asked * 2:
        before = passwords.computed
        assert await counted.identify(name, password) is None
        assert passwords.computed - before == 1


async def test_the_loop_stays_free(url: str) -> None:
    """While passwords are hashed, the event loop goes on, many rounds for each hash."""
    async with connect(url, {"hash_threads": 1}) as access:
        guesses = [asyncio.create_task(access.identify("bob", f"guess {n}")) for n in range(8)]
        rounds = 0
        while not all(guess.done() for guess in guesses):
            await asyncio.sleep(0.001)
            rounds += 1
        await asyncio.gather(*guesses)
    assert rounds > 3 * len(guesses)


async def test_disabling_ends_what_was_remembered(counted: SqlAccess, passwords: Passwords) -> None:
    """Enabled again, a user's password is computed anew."""
    await counted.add_user("alice", PASSWORD)
    assert await counted.identify("alice", PASSWORD) is not None
    await counted.set_disabled("alice", True)
    await counted.set_disabled("alice", False)
    before = passwords.computed
    assert await counted.identify("alice", PASSWORD) is not None
    assert passwords.computed - before == 1


async def test_a_login_renews_an_outdated_hash(url: str) -> None:
    """After a change of parameters the next login keeps the password under the new ones."""
    async with connect(url, CHEAP) as access:
        await access.add_user("alice", PASSWORD)
    async with connect(url, {**CHEAP, "password_memory": 128}) as access:
        found = await asyncio.gather(*(access.identify("alice", PASSWORD) for _ in range(10)))
        assert None not in found
        assert "m=128," in stored(url)
        assert await access.identify("alice", PASSWORD) is not None
    async with connect(url, {**CHEAP, "password_memory": 128}) as access:
        assert await access.identify("alice", PASSWORD) is not None


async def test_a_login_that_cannot_renew_is_a_login(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the new hash cannot be written the login holds, and the log says so, no more."""
    async with connect(url, CHEAP) as access:
        await access.add_user("alice", PASSWORD)
    change(url, "CREATE TRIGGER t BEFORE UPDATE ON access_users BEGIN SELECT RAISE(ABORT, ''); END")
    before = stored(url)
    async with connect(url, {**CHEAP, "password_memory": 128}) as access:
        assert await access.identify("alice", PASSWORD) is not None
    assert stored(url) == before
    assert "'alice' is hashed anew later" in caplog.text
    assert PASSWORD not in caplog.text
    assert "argon2id" not in caplog.text


async def test_two_processes(url: str, access: SqlAccess) -> None:
    """What another process changes holds here with the next question."""
    await access.add_user("alice", PASSWORD)
    await access.add_user("bob", PASSWORD)
    assert await access.identify("alice", PASSWORD) is not None
    assert await access.identify("bob", PASSWORD) is not None
    await asyncio.to_thread(finished, process(url, "disable", "alice"))
    await asyncio.to_thread(finished, process(url, "set_password", "bob", OTHER))
    assert await access.identify("alice", PASSWORD) is None
    assert await access.identify("bob", PASSWORD) is None
    assert await access.identify("bob", OTHER) is not None


async def test_processes_that_start_together(url: str) -> None:
    """Of several that find no file, all open it, and one alone is told the admin's password."""
    others = [process(url, "ensure_admin") for _ in range(4)]
    printed = [await asyncio.to_thread(finished, other) for other in others]
    passwords = [line for line in printed if line != "None"]
    assert len(passwords) == 1
    async with connect(url, CHEAP) as access:
        assert await access.identify("admin", passwords[0]) is not None


async def test_processes_that_write_together(url: str, access: SqlAccess) -> None:
    """Writers wait for one another; nothing is lost and nobody is refused."""
    others = [process(url, "add_many", name) for name in ("a", "b", "c")]
    for other in others:
        await asyncio.to_thread(finished, other)
    assert len(await access.users()) == 60


async def test_many_tasks_write_together(access: SqlAccess) -> None:
    """Edits of many tasks of one process are all done."""
    await access.add_user("alice", PASSWORD)
    edits = [access.set_admin("alice", bool(n % 2)) for n in range(50)]
    await asyncio.gather(*edits, *(access.user("alice") for _ in range(50)))


async def test_one_of_many_that_add_a_user_does(access: SqlAccess) -> None:
    """Of racing additions of one name one succeeds, the others are refused."""
    answers = await asyncio.gather(
        *(access.add_user(name, PASSWORD) for name in ("alice", "Alice", "ALICE")),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == [
        "NoneType",
        "UserExists",
        "UserExists",
    ]


async def test_an_admin_password_that_holds_is_left_alone(
    counted: SqlAccess, passwords: Passwords, url: str
) -> None:
    """Started again with the same password, nothing is written; sessions would go on."""
    await ensure_admin(counted, PASSWORD)
    before = stored(url)
    await ensure_admin(counted, PASSWORD)
    assert stored(url) == before


async def test_only_hashes_are_stored_and_only_the_owner_reads_them(
    url: str, access: SqlAccess
) -> None:
    """No password is in the files, and nobody else may read them."""
    await access.add_user("alice", PASSWORD)
    for file in path_of(url).parent.iterdir():
        assert PASSWORD.encode() not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file:x?uri=true",
        "sqlite+aiosqlite:///{tmp}",
        "sqlite+aiosqlite:///{tmp}/text",
        "sqlite+aiosqlite:///{tmp}/text/below",
        "oracle://x",
        "nonsense",
    ],
)
async def test_what_cannot_be_opened_is_one_clear_line(url: str, tmp_path: Path) -> None:
    """A URL or a file that cannot hold users is Misconfigured, whatever is wrong with it."""
    (tmp_path / "text").write_text("This is no database. " * 1000)
    with pytest.raises(errors.Misconfigured) as caught:
        async with connect(url.format(tmp=tmp_path), CHEAP):
            raise AssertionError
    assert "\n" not in str(caught.value)


async def test_a_later_layout_is_refused(url: str) -> None:
    """What a later release laid out is not touched by this one."""
    async with connect(url, CHEAP):
        pass
    change(url, "UPDATE access_layout SET version = 2")
    with pytest.raises(errors.Misconfigured, match="later release"):
        async with connect(url, CHEAP):
            raise AssertionError


async def test_a_broken_database_is_unavailable(url: str, access: SqlAccess) -> None:
    """A database that answers with an error is AccessUnavailable, and the text tells no row."""
    await access.add_user("alice", PASSWORD)
    change(url, "DROP TABLE access_users")
    with pytest.raises(errors.AccessUnavailable) as caught:
        await access.identify("alice", PASSWORD)
    assert "alice" not in str(caught.value)
    with pytest.raises(errors.AccessUnavailable):
        await access.add_user("bob", PASSWORD)


def test_the_scheme_opens_it() -> None:
    """The URL's scheme leads here."""
    assert plugins.backend("access", "sqlite+aiosqlite:///x") is connect


def path_of(url: str) -> Path:
    """The file of the URL."""
    return Path(url.removeprefix("sqlite+aiosqlite:///"))


def stored(url: str) -> str:
    """All rows of users, as text."""
    with closing(sqlite3.connect(path_of(url))) as database:
        return repr(database.execute("SELECT * FROM access_users").fetchall())


def change(url: str, statement: str) -> None:
    """Do something to the file behind the back of everybody."""
    with closing(sqlite3.connect(path_of(url))) as database, database:
        database.execute(statement)
