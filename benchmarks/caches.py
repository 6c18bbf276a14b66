"""Every kind of cache, empty, one after the other: on servers of the benchmark's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from app import plugins
from app.cache.base import Cache
from benchmarks.server import temporary_folder
from tests.servers import mariadb, postgresql, redis, running

KINDS = ("memory", "sqlite", "postgresql", "mariadb", "redis")


@asynccontextmanager
async def servers() -> AsyncIterator[None]:
    """While the block runs, ``url`` and ``opened`` find the servers they need."""
    running.begin()
    try:
        yield
    finally:
        running.end()


@asynccontextmanager
async def url(kind: str) -> AsyncIterator[str]:
    """An empty cache of this kind."""
    async with AsyncExitStack() as stack:
        if kind == "memory":
            yield "memory:"
        elif kind == "sqlite":
            folder: Path = stack.enter_context(temporary_folder())
            yield f"sqlite+aiosqlite:///{folder}/cache.db"
        else:
            server = {"postgresql": postgresql, "mariadb": mariadb, "redis": redis}[kind]
            yield await stack.enter_async_context(server.database())


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Cache]:
    """The same, opened."""
    async with url(kind) as where, plugins.backend("cache", where)(where, {}) as cache:
        yield cache


def chosen(kinds: Sequence[str]) -> Sequence[str]:
    """All of them where none is chosen."""
    return kinds or KINDS
