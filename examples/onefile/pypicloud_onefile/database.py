"""One SQLite file: one thread that writes, one that reads, and what its errors mean."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from app import errors

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, size INTEGER NOT NULL, modified REAL NOT NULL,
    metadata TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
    id TEXT, number INTEGER, content BLOB NOT NULL, PRIMARY KEY (id, number)
);
CREATE TABLE IF NOT EXISTS dropped (id TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
"""


@asynccontextmanager
async def opened(path: Path, timeout: float) -> AsyncIterator[Database]:
    """The file, made where there is none; it waits ``timeout`` seconds for other processes.

    Raises errors.Misconfigured where it cannot be used.
    """
    database = Database(path)
    try:
        try:
            await database.open(timeout)
        except (OSError, sqlite3.Error) as why:
            raise errors.Misconfigured(f"{path} cannot be used: {why}") from why
        yield database
    finally:
        await database.close()


class _Connection:
    """One connection, used in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connections: list[sqlite3.Connection] = []

    async def open(self, path: Path, timeout: float) -> None:
        def connect() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            # We begin transactions ourselves: a write takes its lock before it reads.
            connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            self._connections.append(connection)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(_TABLES)

        await asyncio.get_running_loop().run_in_executor(self._thread, connect)

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What it answers, after all that was asked before."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(self._connections[0]))

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._connections:
            await self.do(lambda connection: connection.close())
        self._thread.shutdown(wait=False)


class Database:
    """A file with two connections: reads wait for no write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = _Connection("onefile-writing")
        self._reader = _Connection("onefile-reading")

    async def open(self, timeout: float) -> None:
        """Before anything else."""
        for connection in (self._writer, self._reader):
            await connection.open(self._path, timeout)

    async def close(self) -> None:
        """After everything else."""
        for connection in (self._writer, self._reader):
            await connection.close()

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction; durable on return. Raises errors.StorageUnavailable."""

        def transaction(rows: sqlite3.Connection) -> T:
            rows.execute("BEGIN IMMEDIATE")
            try:
                answer = change(rows)
                rows.execute("COMMIT")
            except BaseException:
                rows.execute("ROLLBACK")
                raise
            return answer

        return await self._asked(self._writer, transaction)

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to one question. Raises errors.StorageUnavailable."""
        return await self._asked(self._reader, question)

    async def _asked(self, connection: _Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await connection.do(work)
        except sqlite3.Error as why:
            name = getattr(why, "sqlite_errorname", type(why).__name__)
            raise errors.StorageUnavailable(f"{self._path} does not answer: {name}") from why
