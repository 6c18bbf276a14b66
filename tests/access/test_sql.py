"""Access in SQLite: what it costs, and other processes beside it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName
from passlib import hash as others
from sqlalchemy import Engine, event

from app import errors, plugins
from app.access import engines
from app.access.base import Account, People
from app.access.bootstrap import ensure_admin
from app.access.passwords import Passwords
from app.access.sql import SqlAccess, connect
from app.testing.access import FLASK, HASH, OTHER, PASSWORD, READ, UPLOAD
from tests.access.conftest import CHEAP

SCRIPT = """
import asyncio, sys
from app.access.sql import connect
from app.access import engines
from app.access.base import Account, People
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
    change(url, "UPDATE access_layout SET version = 3")
    with pytest.raises(errors.Misconfigured, match="later release"):
        async with connect(url, CHEAP):
            raise AssertionError


FIRST = """
CREATE TABLE access_layout (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE access_users (name VARCHAR(64) NOT NULL, generation VARCHAR(26) NOT NULL,
    password VARCHAR(255) NOT NULL, pw_version INTEGER NOT NULL, admin BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL, PRIMARY KEY (name));
CREATE TABLE access_grants (project VARCHAR(200) NOT NULL, generation VARCHAR(64) NOT NULL,
    principal VARCHAR(80) NOT NULL, permission VARCHAR(16) NOT NULL,
    PRIMARY KEY (project, generation, principal, permission));
INSERT INTO access_layout VALUES (1);
INSERT INTO access_grants VALUES ('flask', 'g1', 'group:web', 'read');
INSERT INTO access_grants VALUES ('flask', 'g1', 'user:ada', 'upload');
"""
OLD_USER = "INSERT INTO access_users (name, generation, password, pw_version, admin, disabled) "


def first_layout(url: str) -> None:
    """What the first release left: a user who is let in, and one who is not."""
    path_of(url).parent.mkdir(parents=True)
    with closing(sqlite3.connect(path_of(url))) as database, database:
        database.executescript(FIRST)
        database.execute("PRAGMA journal_mode=WAL")
    add_as_before(url, "ada", disabled=0)
    add_as_before(url, "eve", disabled=1)


def add_as_before(url: str, name: str, *, disabled: int) -> None:
    """Add a user as the first release does."""
    change(url, f"{OLD_USER} VALUES ('{name}', '01{name}', '{HASH}', 1, 0, {disabled})")


async def test_the_first_layout_is_brought_up_to_date(url: str) -> None:
    """Users and grants of the first release are all there, and what it knew no word for works."""
    first_layout(url)
    async with connect(url, CHEAP) as access:
        ada = await access.identify("ada", "ada has a passphrase")
        assert ada is not None
        assert await access.identify("eve", "ada has a passphrase") is None
        assert await access.groups() == {"web": frozenset()}
        granted = {"group:web": frozenset({READ}), "user:ada": frozenset({UPLOAD})}
        assert await access.grants(FLASK, "g1") == granted
        await access.set_member("web", "ada", True)
        await access.add_user("cid", PASSWORD, pending=True)
        users = {user.name: (user.disabled, user.pending) for user in await access.users()}
        assert users == {"ada": (False, False), "eve": (True, False), "cid": (False, True)}
    async with connect(url, CHEAP) as access:
        assert await access.groups() == {"web": frozenset({"ada"})}


async def test_processes_that_bring_it_up_to_date_together(url: str) -> None:
    """Of several that find the first layout, all open it."""
    first_layout(url)
    others = [process(url, "disable", "ada") for _ in range(3)]
    for other in others:
        await asyncio.to_thread(finished, other)
    async with connect(url, CHEAP) as access:
        assert [user.name for user in await access.users() if user.disabled] == ["ada", "eve"]


async def test_a_process_of_the_first_release_goes_on_beside_it(url: str) -> None:
    """What an old process adds and deletes is right for the new one, and the other way round."""
    first_layout(url)
    async with connect(url, CHEAP) as access:
        await access.set_member("web", "ada", True)
        add_as_before(url, "dan", disabled=0)
        assert await access.identify("dan", "ada has a passphrase") is not None
        # It knows of no memberships: those of whom it deletes do not come back with the name.
        change(url, "DELETE FROM access_users WHERE name = 'ada'")
        change(url, f"{OLD_USER} VALUES ('ada', 'another', '{HASH}', 1, 0, 0)")
        ada = await access.known("ada")
        assert ada is not None
        assert "group:web" not in ada.principals
        assert await access.groups() == {"web": frozenset()}
        # Nor does it know who is pending: for it they are disabled.
        await access.add_user("cid", PASSWORD, pending=True)
        with closing(sqlite3.connect(path_of(url))) as database:
            row = database.execute("SELECT disabled FROM access_users WHERE name = 'cid'")
            assert row.fetchone() == (1,)
        change(url, "UPDATE access_users SET disabled = 0 WHERE name = 'cid'")
        assert await access.identify("cid", PASSWORD) is None


async def test_a_thousand_projects_cost_one_question(url: str, access: SqlAccess) -> None:
    """The grants on all projects are one statement, however many there are."""
    asked: list[str] = []
    grants = {
        (NormalizedName(f"project-{n}"), "g1"): {"everyone": frozenset({READ, UPLOAD})}
        for n in range(200)
    }
    await access.load(People(grants=grants))
    async with engines.opened(url) as database:

        def note(_: object, __: object, statement: str, *___: object) -> None:
            asked.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        passwords = Passwords(memory=64, passes=1)
        counted = SqlAccess(database, passwords)
        assert await counted.all_grants() == grants
        assert len(asked) == 1
        await counted.known("alice")
        assert len(asked) == 2
        await passwords.close()


@pytest.mark.parametrize(
    "make", [others.sha512_crypt.using(rounds=1000), others.bcrypt.using(rounds=4)]
)
async def test_a_login_renews_a_hash_of_former_times(url: str, make: Any) -> None:
    """Who comes in with a hash that PyPICloud 1 made goes on with one of ours."""
    old: str = make.hash("the old way")
    async with connect(url, CHEAP) as access:
        await access.load(People(accounts=(Account(name="alice", password=old),)))
        assert await access.identify("alice", "another way") is None
        assert old in stored(url)
        assert await access.identify("alice", "the old way") is not None
        assert "$argon2id$v=19$m=64,t=1,p=1$" in stored(url)
        assert await access.identify("alice", "the old way") is not None
        assert await access.identify("alice", "another way") is None


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


@pytest.mark.parametrize(
    ("url", "driver", "brings"),
    [
        ("postgresql://a@127.0.0.1/b", "asyncpg", "pip install 'pypicloud[postgresql]'"),
        ("mariadb://a@127.0.0.1/b", "asyncmy", "pip install 'pypicloud[mysql]'"),
    ],
)
async def test_what_a_database_needs(
    url: str, driver: str, brings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is not installed is named, and the command that brings it."""
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(errors.Misconfigured) as caught:
        async with connect(url, {}):
            pass
    assert f"needs {driver}" in str(caught.value)
    assert brings in str(caught.value)
