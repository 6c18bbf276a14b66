"""Opening the database of users, and its errors."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Executable, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from app import errors, sql, sqlite
from app.access import ledger_sql, tables
from app.sql import database, mysql, postgresql
from app.sql.database import AnyRow, Engines, Server
from app.sql.embedded import Embedded

T = TypeVar("T")

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process's write."""
POOL_SIZE = 8
_PRIVATE = 0o600


@contextmanager
def answering() -> Iterator[None]:
    """Turns what the database or its driver raises into errors.AccessUnavailable."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise errors.AccessUnavailable(
            f"The users and grants cannot be asked ({sql.kind(error)})."
        ) from error


def lay_out(connection: Connection) -> None:
    """Make the tables of users and of the ledger."""
    tables.lay_out(connection)
    ledger_sql.lay_out(connection)


class Database:
    """The database of access, its tables there, and the two ways to use it.

    ``ask`` and ``change`` raise errors.AccessUnavailable, and whatever the work of a change
    raises of its own. ``plain`` is what both go through.
    """

    def __init__(self, plain: database.Database) -> None:
        self.plain = plain

    async def ask(
        self, statement: Executable, values: Mapping[str, object] | None = None
    ) -> Sequence[AnyRow]:
        """All rows of one statement, as of one moment."""
        with answering():
            return await self.plain.read(statement, values or {})

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Do work as one transaction; it may be done again from its beginning."""
        with answering():
            return await self.plain.write(work)


def opened(
    url: str, options: Mapping[str, Any] | None = None
) -> AbstractAsyncContextManager[Database]:
    """Connects, creates what is missing, and closes in the end.

    Options: ``timeout``, how long a statement may take. Raises errors.Misconfigured for a URL
    or a database that cannot work, errors.AccessUnavailable for one that does not answer.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise errors.Misconfigured("The URL of access is not one of SQLAlchemy's.") from None
    dialect = parsed.get_backend_name()
    if dialect == "sqlite":
        return _in_file(parsed)
    if dialect not in _SERVERS:
        raise errors.Misconfigured(f"Users cannot be kept in {dialect!r}.")
    given: timedelta | None = (options or {}).get("timeout")
    timeout = LOCK_TIMEOUT if given is None else given.total_seconds()
    return _on_server(_SERVERS[dialect], parsed, timeout=timeout)


_SERVERS: Mapping[str, sql.Dialect] = {
    "postgresql": postgresql.DIALECT,
    "mysql": mysql.DIALECT,
    "mariadb": mysql.DIALECT,
}


@asynccontextmanager
async def _in_file(url: URL) -> AsyncIterator[Database]:
    path = sqlite.file_of(url)
    if path is None:
        raise errors.Misconfigured("Users in SQLite need the path of a file.")
    with _starting(path):
        if not await asyncio.to_thread(sqlite.prepare, path, timeout=LOCK_TIMEOUT, mode=_PRIVATE):
            raise errors.Misconfigured(
                f"The users' file {str(path)!r} cannot keep a write-ahead log; "
                "put it on a local disk."
            )
    plain = Embedded(sqlite.engines(url, timeout=LOCK_TIMEOUT), None, name="access")
    try:
        with _starting(path):
            await plain.write(lay_out)
        yield Database(plain)
    finally:
        await plain.close()


@asynccontextmanager
async def _on_server(dialect: sql.Dialect, url: URL, *, timeout: float) -> AsyncIterator[Database]:
    engines = Engines(
        sql.engine(dialect, url, size=1, timeout=timeout),
        sql.engine(dialect, url, size=POOL_SIZE, timeout=timeout, autocommit=True),
    )
    made = Database(
        Server(
            dialect,
            engines,
            None,
            readers=POOL_SIZE,
            timeout=timeout,
            name="The database of users",
            unavailable=errors.AccessUnavailable,
        )
    )
    try:
        with _reaching(dialect, url):
            await made.change(lay_out)
        yield made
    finally:
        await made.plain.close()


@contextmanager
def _starting(path: Path) -> Iterator[None]:
    """Says which file cannot be used."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise errors.Misconfigured(
            f"The users' file {str(path)!r} cannot be opened for writing ({sqlite.kind(error)})."
        ) from error


@contextmanager
def _reaching(dialect: sql.Dialect, url: URL) -> Iterator[None]:
    """Says which database cannot be used, and the cure where a person must help."""
    where = f"The users' database {url.database!r} on {url.host}"
    try:
        yield
    except TypeError as error:
        # A parameter of the URL that the driver has no argument for.
        reason = f"{where}: the driver does not know one of the URL's parameters."
        raise errors.Misconfigured(reason) from error
    except errors.AccessUnavailable as error:
        kind = sql.kind(error.__cause__ or error)
        if kind in dialect.refused:
            raise errors.Misconfigured(f"{where}: {dialect.refused[kind]} ({kind}).") from error
        raise errors.AccessUnavailable(f"{where} does not answer ({kind}).") from error
