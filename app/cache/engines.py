"""Opening a database: one engine to write, one to read. All that is particular to one dialect.

Two, because they begin differently: a write takes its lock at once and waits for it, a read
never waits for a write. A dialect is added by one function here.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from app import errors
from app.cache import rows, schema

TIMEOUT = 15.0
"""Seconds to wait for another process's write."""
QUEUE_TIMEOUT = 30.0
"""Seconds to wait for a connection that this process's other tasks hold."""
READERS = 4
_DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


class Engines(NamedTuple):
    """Both are open, and the tables are there."""

    write: AsyncEngine
    read: AsyncEngine


@contextmanager
def answering() -> Iterator[None]:
    """Turns whatever the database or its driver raises into errors.CacheUnavailable."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise errors.CacheUnavailable(f"The cache does not answer ({_kind(error)}).") from error
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
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise errors.Misconfigured("A SQLite cache needs the path of a file; or use memory:")
    path = Path(url.database)
    with _starting(path):
        await asyncio.to_thread(_prepare_file, path, timeout)
    # No driver transactions: they begin with the first write, too late for what was read before.
    arguments = {"timeout": timeout, "isolation_level": None}
    write = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,  # our own tasks queue fairly here instead of polling for SQLite's lock
        max_overflow=0,
        pool_timeout=QUEUE_TIMEOUT,
        hide_parameters=True,
        connect_args=arguments,
    )
    read = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=READERS,
        max_overflow=0,
        pool_timeout=QUEUE_TIMEOUT,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        connect_args=arguments,
    )
    # A row must survive a power cut: the upload's pending marker goes once it is written.
    event.listen(write.sync_engine, "connect", _pragma("synchronous=FULL"))
    event.listen(write.sync_engine, "begin", _begin_immediate)
    event.listen(read.sync_engine, "connect", _pragma("query_only=ON"))
    try:
        with _starting(path):
            await _lay_out(write)
        yield Engines(write, read)
    finally:
        await read.dispose()
        await write.dispose()


_DIALECTS: Mapping[str, Callable[[URL, float], AbstractAsyncContextManager[Engines]]] = {
    "sqlite": _sqlite,
}


async def _lay_out(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(schema.lay_out, rows.VERSION)


def _pragma(setting: str) -> Callable[[DBAPIConnection, ConnectionPoolEntry], None]:
    def on_connect(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    return on_connect


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_file(path: Path, timeout: float) -> None:
    """Create it, see that it can be written, and have it keep a write-ahead log (for good)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as connection:
        until = time.monotonic() + timeout
        while (mode := _write_ahead(connection)) is None and time.monotonic() < until:
            time.sleep(0.02)
        if mode != "wal":
            raise errors.Misconfigured(
                f"The cache {str(path)!r} cannot keep a write-ahead log there; "
                "put it on a local disk."
            )
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _write_ahead(connection: sqlite3.Connection) -> str | None:
    """The journal mode; None where another process is changing it (SQLite does not wait)."""
    try:
        mode: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(_BUSY):
            return None
        raise
    return mode


@contextmanager
def _starting(path: Path) -> Iterator[None]:
    """Says which file it is that cannot be used, and the cure."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        kind = _kind(error)
        if kind.startswith(_BUSY):
            raise errors.CacheUnavailable(f"The cache {str(path)!r} is locked.") from error
        if kind.startswith(_DAMAGED):
            raise errors.Misconfigured(
                f"The cache {str(path)!r} is damaged, or no SQLite database ({kind}); "
                "delete it (and its -wal and -shm), it is rebuilt."
            ) from error
        raise errors.Misconfigured(
            f"The cache {str(path)!r} cannot be opened for writing ({kind}); "
            "make it and its directory writable, or delete it, it is rebuilt."
        ) from error


def _kind(error: BaseException) -> str:
    """The error's name; never its text, which may quote a row."""
    original = getattr(error, "orig", None) or error
    return getattr(original, "sqlite_errorname", None) or type(original).__name__
