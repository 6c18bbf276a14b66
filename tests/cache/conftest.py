"""Every cache in turn; add yours to the list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app import plugins
from app.cache.base import Cache
from tests.servers import dynamodb, mariadb, postgresql, redis

SHARED = ("sqlite", "postgresql", "mariadb")
"""Those in SQL databases, which several processes may open."""
REDIS = ("redis", "redis_cluster")


async def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Statements of somebody else; the rows of the last one that has any."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    found: list[tuple[object, ...]] = []
    try:
        async with engine.connect() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
                if result.returns_rows:
                    found = [tuple(row) for row in result.all()]
    finally:
        await engine.dispose()
    return found


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite cache that nobody has opened yet, in a folder that does not exist."""
    return f"sqlite+aiosqlite:///{tmp_path}/not yet/here/cache.db"


async def place(kind: str, sqlite_url: str) -> AsyncIterator[str]:
    """The URL of an empty cache that nobody has opened yet."""
    servers = {
        "postgresql": postgresql.database,
        "mariadb": mariadb.database,
        "redis": redis.database,
        "redis_cluster": redis.cluster,
        "dynamodb": dynamodb.place,
    }
    if kind not in servers:
        yield {"memory": "memory:", "sqlite": sqlite_url}[kind]
        return
    database: AbstractAsyncContextManager[str] = servers[kind]()
    async with database as url:
        yield url


@pytest.fixture(params=SHARED)
async def url(request: pytest.FixtureRequest, sqlite_url: str) -> AsyncIterator[str]:
    """The URL of each that several processes may open."""
    async for found in place(request.param, sqlite_url):
        yield found


class Place(NamedTuple):
    """An empty cache that nobody has opened yet: what ``connect`` is given. Options are JSON."""

    url: str
    options: Mapping[str, Any] = {}


def options_of(kind: str) -> Mapping[str, Any]:
    """What ``connect`` wants to know besides the URL; the emulator may be held up."""
    patient = {"timeout": 60, "read_timeout": 30}
    return dynamodb.server().options | patient if kind == "dynamodb" else {}


@pytest.fixture(params=[*SHARED, *REDIS, "dynamodb"])
async def shared_place(request: pytest.FixtureRequest, sqlite_url: str) -> AsyncIterator[Place]:
    """Each that several processes may open."""
    async for found in place(request.param, sqlite_url):
        yield Place(found, options_of(request.param))


@pytest.fixture(params=["memory", *SHARED, *REDIS, "dynamodb"])
async def cache(request: pytest.FixtureRequest, sqlite_url: str) -> AsyncIterator[Cache]:
    """An empty cache of each kind."""
    async for where in place(request.param, sqlite_url):
        connect = plugins.backend("cache", where)
        async with connect(where, options_of(request.param)) as opened:
            yield opened
