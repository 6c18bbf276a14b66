"""The ledger in SQL: the contract, and processes that write beside one another."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Executable, delete, text, update
from ulid import ULID

from app import errors
from app.access import trail
from app.access.ledger_sql import SqlLedger
from app.access.ledger_sql.tables import head, layout, metadata
from tests.access.ledgers import opened
from tests.contracts.ledger import ENTRY, MINUTE, NOW, TOKEN, LedgerContract, all_of
from tests.servers import mariadb, postgresql

SCRIPT = """
import asyncio, sys
from dataclasses import replace
from datetime import timedelta
from tests.access.ledgers import opened
from tests.contracts.ledger import ENTRY, NOW

async def main(url, name):
    async with opened(url) as ledger:
        won = 0
        for n in range(25):
            await ledger.trail.append(replace(ENTRY, target=f"{name}:{n}"))
            await ledger.attempts.add("guess", timedelta(minutes=5), NOW)
            won += await ledger.once.use("jti", str(n), NOW)
        print(won)

asyncio.run(main(*sys.argv[1:]))
"""


KINDS = ["sqlite", "postgresql", "mariadb"]


@pytest.fixture(params=KINDS)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database of each kind that nobody has opened yet."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/data/access.db"
        return
    servers = {"postgresql": postgresql.database, "mariadb": mariadb.database}
    database: AbstractAsyncContextManager[str] = servers[request.param]()
    async with database as where:
        yield where


@pytest.fixture
async def fresh(url: str) -> AsyncIterator[SqlLedger]:
    """A ledger of the test's own."""
    async with opened(url) as ledger:
        yield ledger


@pytest.fixture(scope="module", params=KINDS)
def shared_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database of each kind for all tests of the contract: to make the tables takes long."""
    name = f"t{ULID()}".lower()
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('ledger')}/access.db"
        return
    execute: Callable[..., Coroutine[None, None, None]]
    if request.param == "postgresql":
        running, execute = postgresql.postgresql(), postgresql.execute
        where = postgresql.server_url(running, name)
    else:
        running, execute = mariadb.mariadb(), mariadb.execute
        where = mariadb.server_url(running, name)
    asyncio.run(execute(running, f"CREATE DATABASE {name}"))
    yield where
    asyncio.run(execute(running, f"DROP DATABASE {name}"))


async def execute(ledger: SqlLedger, *statements: Executable, **values: object) -> None:
    """As somebody with the database's password would."""

    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(statement, values)

    await ledger.trail._database._plain.write(work)


@pytest.fixture
async def ledger(shared_url: str) -> AsyncIterator[SqlLedger]:
    """An empty ledger."""
    async with opened(shared_url) as ledger:
        every = [table for table in metadata.sorted_tables if table not in (head, layout)]
        await execute(ledger, *map(delete, every), update(head).values(number=0, head=""))
        yield ledger


@pytest.fixture
async def elsewhere(shared_url: str, ledger: SqlLedger) -> AsyncIterator[SqlLedger]:
    """The same ledger, as another process has it."""
    async with opened(shared_url) as other:
        yield other


class TestSqlLedger(LedgerContract):
    """Every clause of the contract, over SQLite, PostgreSQL and MariaDB."""


async def test_processes_that_start_and_write_together(url: str) -> None:
    """The trail stays whole, no attempt is lost, and each id is used by one of the processes."""
    others = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url, name], stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    printed = [(await asyncio.to_thread(other.communicate, timeout=100))[0] for other in others]
    assert [other.returncode for other in others] == [0, 0]
    assert sum(map(int, printed)) == 25
    async with opened(url) as ledger:
        verdict = await trail.verify(ledger.trail.entries())
        assert (verdict.entries, verdict.flaw) == (50, None)
        assert await ledger.attempts.count("guess", 5 * MINUTE, NOW) == 50


async def test_what_was_changed_or_removed_is_noticed(url: str, fresh: SqlLedger) -> None:
    """An entry that somebody edited, and one that somebody took out, is named by its number."""
    for _ in range(5):
        await fresh.trail.append(ENTRY)
    await execute(fresh, text("DELETE FROM pypicloud_ledger_trail WHERE number = 4"))
    assert (await trail.verify(fresh.trail.entries())).flaw == "entry 4 is missing"
    forged = (await all_of(fresh))[1]
    body = trail.packed(forged).replace(b"alice", b"mallory")
    update = text("UPDATE pypicloud_ledger_trail SET body = :body WHERE number = 2")
    await execute(fresh, update, body=body)
    assert (await trail.verify(fresh.trail.entries())).flaw == "entry 2 is not what was written"


async def test_a_later_layout_is_refused(url: str, fresh: SqlLedger) -> None:
    """What a later release laid out is not touched by this one."""
    await execute(fresh, text("UPDATE pypicloud_ledger_layout SET version = 2"))
    with pytest.raises(errors.Misconfigured, match="later release"):
        async with opened(url):
            raise AssertionError


async def test_a_broken_database_is_unavailable(url: str, fresh: SqlLedger) -> None:
    """A database that answers with an error is AccessUnavailable, and the text tells no row."""
    await execute(fresh, text("DROP TABLE pypicloud_ledger_tokens"))
    with pytest.raises(errors.AccessUnavailable) as caught:
        await fresh.tokens.find(TOKEN.id)
    assert TOKEN.id not in str(caught.value)
    with pytest.raises(errors.AccessUnavailable):
        await fresh.tokens.add(TOKEN)
