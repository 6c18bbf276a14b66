"""Opening the database of users: what is particular to one dialect, and its errors.

Two engines, because they begin differently: a write takes its lock at once, so that what it
reads still holds when it writes; a read never waits.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from app import errors
from app.access import tables

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process's write."""
POOL_TIMEOUT = 10.0
"""Seconds to wait for a connection that other tasks hold."""
READERS = 4
_PRIVATE = 0o600


class Engines(NamedTuple):
    """Both are open, and the tables are there."""

    write: AsyncEngine
    read: AsyncEngine


@contextmanager
def answering() -> Iterator[None]:
    """Turns what the database or its driver raises into errors.AccessUnavailable."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise errors.AccessUnavailable(
            f"The users and grants cannot be asked ({_kind(error)})."
        ) from error


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Engines]:
    """Connects, creates what is missing, and closes in the end.

    Raises errors.Misconfigured for a URL or a database that cannot work.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise errors.Misconfigured("The URL of access is not one of SQLAlchemy's.") from None
    if parsed.drivername != "sqlite+aiosqlite":
        raise errors.Misconfigured(f"Users cannot be kept in {parsed.drivername!r}.")
    path = _path(parsed)
    with _starting(path):
        await asyncio.to_thread(_prepare, path)
    engines = _sqlite(parsed)
    try:
        with _starting(path):
            async with engines.write.begin() as connection:
                await connection.run_sync(tables.lay_out)
        yield engines
    finally:
        await engines.read.dispose()
        await engines.write.dispose()


def _path(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise errors.Misconfigured("Users in SQLite need the path of a file.")
    return Path(url.database)


def _sqlite(url: URL) -> Engines:
    common: dict[str, Any] = {
        "poolclass": AsyncAdaptedQueuePool,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT,
        "hide_parameters": True,  # hashes of passwords are among them
        # The driver would begin a transaction only with the first write, and not for a read.
        "connect_args": {"timeout": LOCK_TIMEOUT, "isolation_level": None},
    }
    write = create_async_engine(url, pool_size=1, **common)
    read = create_async_engine(
        url,
        pool_size=READERS,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        **common,
    )
    event.listen(write.sync_engine, "connect", _durable)
    event.listen(write.sync_engine, "begin", _begin)
    return Engines(write, read)


def _durable(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare(path: Path) -> None:
    """Create the file, for its owner only, and have it keep a write-ahead log for good."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE))
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)) as database:
        until = time.monotonic() + LOCK_TIMEOUT
        while (mode := _log_ahead(database)) is None and time.monotonic() < until:
            time.sleep(0.02)
    if mode != "wal":
        raise errors.Misconfigured(
            f"The users' file {str(path)!r} cannot keep a write-ahead log; put it on a local disk."
        )


def _log_ahead(database: sqlite3.Connection) -> str | None:
    """The journal mode; None where another process is changing it (SQLite does not wait)."""
    try:
        mode: str = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return None
        raise
    return mode


@contextmanager
def _starting(path: Path) -> Iterator[None]:
    """Says which file cannot be used."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise errors.Misconfigured(
            f"The users' file {str(path)!r} cannot be opened for writing ({_kind(error)})."
        ) from error


def _kind(error: BaseException) -> str:
    """The error's name; never its text, which may quote a row."""
    original = getattr(error, "orig", None) or error
    return getattr(original, "sqlite_errorname", None) or type(original).__name__
