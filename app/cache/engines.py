"""Opening the cache's database. All that is particular to one dialect.

A dialect is added by one function here.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from app import errors, sqlite
from app.cache import rows, schema
from app.sqlite import Engines

TIMEOUT = 15.0
"""Seconds to wait for another process's write."""


@contextmanager
def answering() -> Iterator[None]:
    """Turns whatever the database or its driver raises into errors.CacheUnavailable."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        reason = f"The cache does not answer ({sqlite.kind(error)})."
        raise errors.CacheUnavailable(reason) from error
    except msgspec.MsgspecError as error:
        raise errors.CacheUnavailable(
            "The cache holds a row that cannot be read; delete the cache, it is rebuilt."
        ) from error


def opened(url: str, options: Mapping[str, Any]) -> AbstractAsyncContextManager[Engines]:
    """Connect to the database of this URL, and close the connections in the end.

    Raises errors.Misconfigured for a URL or a database that cannot work.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise errors.Misconfigured("The cache's URL is not one that SQLAlchemy can read.") from None
    dialect = parsed.get_backend_name()
    if dialect not in _DIALECTS:
        raise errors.Misconfigured(f"The cache cannot be kept in {dialect!r}.")
    return _DIALECTS[dialect](parsed, float(options.get("timeout", TIMEOUT)))


@asynccontextmanager
async def _sqlite(url: URL, timeout: float) -> AsyncIterator[Engines]:
    path = sqlite.file_of(url)
    if path is None:
        raise errors.Misconfigured("A SQLite cache needs the path of a file; or use memory:")
    with _starting(path):
        if not await asyncio.to_thread(sqlite.prepare, path, timeout=timeout):
            raise errors.Misconfigured(
                f"The cache {str(path)!r} cannot keep a write-ahead log there; "
                "put it on a local disk."
            )
    engines = sqlite.engines(url, timeout=timeout)
    try:
        with _starting(path):
            async with engines.write.begin() as connection:
                await connection.run_sync(schema.lay_out, rows.VERSION)
        yield engines
    finally:
        await engines.dispose()


_DIALECTS: Mapping[str, Callable[[URL, float], AbstractAsyncContextManager[Engines]]] = {
    "sqlite": _sqlite,
}


@contextmanager
def _starting(path: Path) -> Iterator[None]:
    """Says which file it is that cannot be used, and the cure."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        kind = sqlite.kind(error)
        if kind.startswith(sqlite.BUSY):
            raise errors.CacheUnavailable(f"The cache {str(path)!r} is locked.") from error
        if kind.startswith(sqlite.DAMAGED):
            raise errors.Misconfigured(
                f"The cache {str(path)!r} is damaged, or no SQLite database ({kind}); "
                "delete it (and its -wal and -shm), it is rebuilt."
            ) from error
        raise errors.Misconfigured(
            f"The cache {str(path)!r} cannot be opened for writing ({kind}); "
            "make it and its directory writable, or delete it, it is rebuilt."
        ) from error
