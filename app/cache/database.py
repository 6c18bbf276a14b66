"""What the cache asks of a database: one statement read at one moment, one transaction written.

The work of a transaction is plain code on a plain Connection. Where it runs is the database's
business: SQLite's in a thread, all of it in one hop; a server's in the event loop, which has
its turn whenever the server has.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError, NoResultFound, SQLAlchemyError
from sqlalchemy.util import await_only

from app import errors, sql, sqlite
from app.cache.rows import AnyRow

T = TypeVar("T")

ATTEMPTS = 6
PAUSE = 0.02
"""Seconds, doubled and shaken, between the attempts of a transaction that was unlucky."""


class Database(Protocol):
    """Raises what SQLAlchemy, the driver and the network raise, TimeoutError among it.

    Where a table is not there, it makes all anew before it raises. ``aside`` is how work
    keeps the event loop free while it computes.
    """

    async def read(
        self, statement: Executable, values: Mapping[str, object]
    ) -> Sequence[AnyRow]: ...

    async def write(self, work: Callable[[Connection], T]) -> T: ...

    def aside(self, computing: Callable[[], T]) -> T: ...


class Embedded:
    """SQLite, in threads of the cache's own."""

    def __init__(self, engines: sqlite.Plain, lay_out: Callable[[Connection], object]) -> None:
        self._engines = engines
        self._lay_out = lay_out
        self._reading = ThreadPoolExecutor(sqlite.READERS, "cache-read")
        self._writing = ThreadPoolExecutor(1, "cache-write")
        self._readers = asyncio.Semaphore(sqlite.READERS)
        self._writer = asyncio.Semaphore(1)

    async def read(self, statement: Executable, values: Mapping[str, object]) -> Sequence[AnyRow]:
        async with _turn(self._readers):
            return await _hop(self._reading, self._look, statement, values)

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with _turn(self._writer):
            return await _hop(self._writing, self._transaction, work)

    def aside(self, computing: Callable[[], T]) -> T:
        return computing()

    async def close(self) -> None:
        """Close the connections, once nothing goes on."""
        self._reading.shutdown(wait=False)
        await _hop(self._writing, self._engines.dispose)
        self._writing.shutdown(wait=False)

    def _look(self, statement: Executable, values: Mapping[str, object]) -> Sequence[AnyRow]:
        try:
            with self._engines.read.connect() as connection:
                return connection.execute(statement, values).all()
        except SQLAlchemyError as error:
            self._mend(error)
            raise

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engines.write.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            self._mend(error)
            raise

    def _mend(self, error: SQLAlchemyError) -> None:
        missing = str(getattr(error, "orig", "")).startswith("no such table")
        if missing or isinstance(error, NoResultFound):
            with self._engines.write.begin() as connection:
                self._lay_out(connection)


class Server:
    """A database that others ask too. One connection writes: writes queue here, not there."""

    def __init__(
        self,
        dialect: sql.Dialect,
        engines: sqlite.Engines,
        lay_out: Callable[[Connection], object],
        *,
        readers: int,
        timeout: float,
    ) -> None:
        self._dialect = dialect
        self._engines = engines
        self._lay_out = lay_out
        self._timeout = timeout + sql.MARGIN
        self._readers = asyncio.Semaphore(readers)
        self._writer = asyncio.Semaphore(1)

    async def read(self, statement: Executable, values: Mapping[str, object]) -> Sequence[AnyRow]:
        async with _turn(self._readers):
            try:
                return await self._look(statement, values)
            except DBAPIError as error:
                if error.connection_invalidated:
                    return await self._look(statement, values)
                if not self._absent(error):
                    raise
        await self.write(self._lay_out)
        raise errors.CacheUnavailable("The tables of the cache were gone; it is to be rebuilt.")

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with _turn(self._writer):
            try:
                return await self._tried(work)
            except (DBAPIError, NoResultFound) as error:
                if self._absent(error):
                    await self._tried(self._lay_out)
                raise

    def aside(self, computing: Callable[[], T]) -> T:
        return await_only(asyncio.to_thread(computing))

    async def close(self) -> None:
        """Close the connections, once nothing goes on."""
        async with asyncio.timeout(self._timeout):
            await self._engines.dispose()

    async def _look(self, statement: Executable, values: Mapping[str, object]) -> Sequence[AnyRow]:
        async with asyncio.timeout(self._timeout), self._engines.read.connect() as connection:
            return (await connection.execute(statement, values)).all()

    async def _tried(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._transaction(work)
            except DBAPIError as error:
                if not (error.connection_invalidated or self._is(error, self._dialect.again)):
                    raise
            await asyncio.sleep(PAUSE * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        return await self._transaction(work)

    async def _transaction(self, work: Callable[[Connection], T]) -> T:
        async with asyncio.timeout(self._timeout) as deadline:
            async with self._engines.write.connect() as connection:
                await connection.execution_options(**{sql.DEADLINE: deadline})
                transaction = await connection.begin()
                made = await connection.run_sync(work)
                deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)
                try:
                    await transaction.commit()
                except DBAPIError as error:
                    if self._is(error, self._dialect.again):
                        raise
                    # Not to be tried again: it may stand.
                    raise errors.CacheUnavailable(
                        f"The cache did not say whether it wrote ({sql.kind(error)})."
                    ) from error
                return made

    def _absent(self, error: SQLAlchemyError) -> bool:
        return isinstance(error, NoResultFound) or self._is(error, self._dialect.absent)

    def _is(self, error: BaseException, kinds: frozenset[str]) -> bool:
        return sql.kind(error) in kinds


@asynccontextmanager
async def _turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    async with asyncio.timeout(sqlite.QUEUE_TIMEOUT):
        await turns.acquire()
    try:
        yield
    finally:
        turns.release()


async def _hop(pool: ThreadPoolExecutor, work: Callable[..., T], *given: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, partial(work, *given))
