"""SQLite by way of SQLAlchemy, as every room that keeps rows in it needs it.

Two engines, because they begin differently: a write takes its lock at once, so that what it
reads still holds when it writes; a read never waits for a write. Rows survive a power cut.
Both are for whoever brings whole transactions to threads.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import QueuePool

QUEUE_TIMEOUT = 30.0
"""Seconds to wait for a connection that this process's other tasks hold."""
READERS = 4
BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT")


def file_of(url: URL) -> Path | None:
    """The file that a URL names; None where it names none, or one that processes cannot share."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return None
    return Path(url.database)


class Engines(NamedTuple):
    """Both are open; one connection writes, so let one thread do it."""

    write: Engine
    read: Engine

    def dispose(self) -> None:
        """Close all connections."""
        self.read.dispose()
        self.write.dispose()


def engines(url: URL, *, timeout: float) -> Engines:
    """Engines for a file that ``prepare`` made; ``timeout`` seconds for other processes' writes."""
    url = url.set(drivername="sqlite")
    common = {"poolclass": QueuePool, **_arguments(timeout)}
    common["connect_args"]["check_same_thread"] = False
    made = Engines(create_engine(url, **common, **_WRITE), create_engine(url, **common, **_READ))
    _listen(made.write, made.read)
    return made


# Of one connection, our own tasks queue fairly instead of polling for SQLite's lock.
_WRITE: dict[str, Any] = {"pool_size": 1}
_READ: dict[str, Any] = {
    "pool_size": READERS,
    "isolation_level": "AUTOCOMMIT",
    "skip_autocommit_rollback": True,
}


def _arguments(timeout: float) -> dict[str, Any]:
    return {
        "max_overflow": 0,
        "pool_timeout": QUEUE_TIMEOUT,
        "hide_parameters": True,
        # No driver transactions: they begin with the first write, too late for what was read.
        "connect_args": {"timeout": timeout, "isolation_level": None},
    }


def _listen(write: Engine, read: Engine) -> None:
    event.listen(write, "connect", _durable)
    event.listen(write, "begin", _begin_immediate)
    event.listen(read, "connect", _query_only)


def prepare(path: Path, *, timeout: float, mode: int = 0o666) -> bool:
    """Make the file and have it keep a write-ahead log for good; False where it cannot.

    Blocks. Raises OSError and sqlite3.Error for a file that cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, mode))
    with closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as connection:
        until = time.monotonic() + timeout
        while (journal := _write_ahead(connection)) is None and time.monotonic() < until:
            time.sleep(0.02)
        if journal != "wal":
            return False
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    return True


def kind(error: BaseException) -> str:
    """The error's name; never its text, which may quote a row."""
    original = getattr(error, "orig", None) or error
    return getattr(original, "sqlite_errorname", None) or type(original).__name__


def _write_ahead(connection: sqlite3.Connection) -> str | None:
    """The journal mode; None where another process is changing it (SQLite does not wait)."""
    try:
        mode: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(BUSY):
            return None
        raise
    return mode


def _durable(connection: DBAPIConnection, _: object) -> None:
    _pragma(connection, "synchronous=FULL")


def _query_only(connection: DBAPIConnection, _: object) -> None:
    _pragma(connection, "query_only=ON")


def _pragma(connection: DBAPIConnection, setting: str) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA {setting}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
