"""Opening the database of users, and its errors."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from app import errors, sqlite
from app.access import tables
from app.sqlite import Engines

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process's write."""
_PRIVATE = 0o600


@contextmanager
def answering() -> Iterator[None]:
    """Turns what the database or its driver raises into errors.AccessUnavailable."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise errors.AccessUnavailable(
            f"The users and grants cannot be asked ({sqlite.kind(error)})."
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
    path = sqlite.file_of(parsed)
    if path is None:
        raise errors.Misconfigured("Users in SQLite need the path of a file.")
    with _starting(path):
        if not await asyncio.to_thread(sqlite.prepare, path, timeout=LOCK_TIMEOUT, mode=_PRIVATE):
            raise errors.Misconfigured(
                f"The users' file {str(path)!r} cannot keep a write-ahead log; "
                "put it on a local disk."
            )
    engines = sqlite.engines(parsed, timeout=LOCK_TIMEOUT)
    try:
        with _starting(path):
            async with engines.write.begin() as connection:
                await connection.run_sync(tables.lay_out)
        yield engines
    finally:
        await engines.dispose()


@contextmanager
def _starting(path: Path) -> Iterator[None]:
    """Says which file cannot be used."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise errors.Misconfigured(
            f"The users' file {str(path)!r} cannot be opened for writing ({sqlite.kind(error)})."
        ) from error
