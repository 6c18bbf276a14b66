"""The contract of access over every backend that can be edited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete

from app.access import config, sql, tables
from app.access.base import Access
from app.testing.access import HASH, READERS, AccessContract, ReadingContract
from tests.access.conftest import CHEAP
from tests.servers import mariadb, postgresql

SERVERS = {"postgresql": postgresql.database, "mariadb": mariadb.database}

TOML = f"""
admins = ["ada"]
[users]
Ada = "{HASH}"
bob = "{HASH}"
dan = {{}}
eve = {{ password = "{HASH}", disabled = true }}
[groups]
empty = []
OPS = ["Ada", "stranger"]
[projects.Flask]
"user:ADA" = "read manage"
everyone = "r"
[projects.other]
"group:ops" = "w"
"""
INI = f"""
[app:main]
auth.admins = ada
user.Ada = {HASH}
user.bob = {HASH}
user.dan =
user.eve = {HASH}
auth.disabled = eve
group.empty =
group.ops = Ada stranger
package.Flask.user.ada = read manage
package.flask.group.everyone = r
package.other.group.ops = w
"""


@pytest.fixture(scope="module", params=["sqlite", *SERVERS])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database on a server, for all tests here in turn; empty for SQLite."""
    if request.param == "sqlite":
        yield ""
        return
    with asyncio.Runner() as runner:
        context = SERVERS[request.param]()
        where = runner.run(_enter(context))
        yield where
        runner.run(_leave(context))


@pytest.fixture
async def url(place: str, tmp_path: Path) -> AsyncIterator[str]:
    """Where the users are kept."""
    if not place:
        yield f"sqlite+aiosqlite:///{tmp_path}/data/access.db"
        return
    yield place


@pytest.fixture
async def access(url: str) -> AsyncIterator[sql.SqlAccess]:
    """No users any more."""
    async with sql.connect(url, CHEAP) as opened:
        await opened._database.change(_empty)
        yield opened


@pytest.fixture(params=["sqlite", *SERVERS, "config.toml", "config.ini"])
async def reading(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Access]:
    """A backend that holds READERS."""
    kind: str = request.param
    if kind.startswith("config"):
        file = tmp_path / kind
        file.write_text(TOML if kind.endswith("toml") else INI)
        async with config.connect(f"config:{file}", CHEAP) as access:
            yield access
        return
    async with AsyncExitStack() as stack:
        where = f"sqlite+aiosqlite:///{tmp_path}/data/access.db"
        if kind in SERVERS:
            where = await stack.enter_async_context(SERVERS[kind]())
        opened = await stack.enter_async_context(sql.connect(where, CHEAP))
        await opened.load(READERS)
        yield opened


class TestReading(ReadingContract):
    """What is only read, in each backend."""


class TestSqlAccess(AccessContract):
    """Every clause, in each database."""


async def _enter(context: AbstractAsyncContextManager[str]) -> str:
    return await context.__aenter__()


async def _leave(context: AbstractAsyncContextManager[str]) -> None:
    await context.__aexit__(None, None, None)


def _empty(connection: Connection) -> None:
    for table in (tables.users, tables.groups, tables.members, tables.grants, tables.facts):
        connection.execute(delete(table))
