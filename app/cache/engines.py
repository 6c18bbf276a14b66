"""Opening the cache's database. All that is particular to one dialect.

A dialect is added by one function here.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from app import errors, sql, sqlite
from app.cache import schema
from app.cache.options import SqlOptions
from app.sql import mysql, postgresql
from app.sql.database import Database, Engines, Server
from app.sql.embedded import Embedded


@contextmanager
def answering() -> Iterator[None]:
    """Turns whatever the database or its driver raises into errors.CacheUnavailable."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = f"The cache does not answer ({sql.kind(error)})."
        raise errors.CacheUnavailable(reason) from error
    except msgspec.MsgspecError as error:
        raise errors.CacheUnavailable(
            "The cache holds a row that cannot be read; delete the cache, it is rebuilt."
        ) from error


def opened(url: str, options: SqlOptions) -> AbstractAsyncContextManager[Database]:
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
    return _DIALECTS[dialect](parsed, options)


@asynccontextmanager
async def _sqlite(url: URL, options: SqlOptions) -> AsyncIterator[Database]:
    path = sqlite.file_of(url)
    if path is None:
        raise errors.Misconfigured("A SQLite cache needs the path of a file; or use memory:")
    timeout = options.timeout.total_seconds()
    with _starting(path):
        if not await asyncio.to_thread(sqlite.prepare, path, timeout=timeout):
            raise errors.Misconfigured(
                f"The cache {str(path)!r} cannot keep a write-ahead log there; "
                "put it on a local disk."
            )
    database = Embedded(sqlite.engines(url, timeout=timeout), schema.lay_out, name="cache")
    try:
        with _starting(path):
            await database.write(schema.lay_out)
        yield database
    finally:
        await database.close()


def _server(
    dialect: sql.Dialect,
) -> Callable[[URL, SqlOptions], AbstractAsyncContextManager[Database]]:
    @asynccontextmanager
    async def opening(url: URL, options: SqlOptions) -> AsyncIterator[Database]:
        timeout = options.timeout.total_seconds()
        engines = Engines(
            sql.engine(dialect, url, size=1, timeout=timeout),
            sql.engine(dialect, url, size=options.pool_size, timeout=timeout, autocommit=True),
        )
        database = Server(
            dialect,
            engines,
            schema.lay_out,
            readers=options.pool_size,
            timeout=timeout,
            name="The cache",
            unavailable=errors.CacheUnavailable,
        )
        try:
            with _reaching(dialect, url):
                await database.write(schema.lay_out)
            yield database
        finally:
            await database.close()

    return opening


_MYSQL = _server(mysql.DIALECT)
_DIALECTS: Mapping[str, Callable[[URL, SqlOptions], AbstractAsyncContextManager[Database]]] = {
    "sqlite": _sqlite,
    "postgresql": _server(postgresql.DIALECT),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
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


@contextmanager
def _reaching(dialect: sql.Dialect, url: URL) -> Iterator[None]:
    """Says which database it is that cannot be used, and the cure where a person must help."""
    where = f"The cache in {url.database!r} on {url.host}"
    try:
        yield
    except TypeError as error:
        # A parameter of the URL that the driver has no argument for.
        reason = f"{where}: the driver does not know one of the URL's parameters."
        raise errors.Misconfigured(reason) from error
    except (SQLAlchemyError, OSError) as error:
        kind = sql.kind(error)
        if kind in dialect.refused:
            raise errors.Misconfigured(f"{where}: {dialect.refused[kind]} ({kind}).") from error
        raise errors.CacheUnavailable(f"{where} does not answer ({kind}).") from error
