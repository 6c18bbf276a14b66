"""A database that is asked over and over: whole transactions, time-outs, and bad luck tried again.

The work of a transaction is plain code on a plain Connection, so that it can be done again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, Executable, Row
from sqlalchemy.exc import DBAPIError, NoResultFound, SQLAlchemyError
from sqlalchemy.util import await_only

from app import errors, sql, sqlite
from app.turns import Pool, Turns

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]

ATTEMPTS = 6
PAUSE = 0.02
"""Seconds, doubled and shaken, between the attempts of a transaction that was unlucky."""


class Database(Protocol):
    """One statement read at one moment, one transaction written.

    Where it runs is the database's business: SQLite's in a thread, all of it in one hop; a
    server's in the event loop, which has its turn whenever the server has.

    Raises what SQLAlchemy, the driver and the network raise, TimeoutError among it.
    Where a table is not there, it makes all anew before it raises. ``aside`` is how work
    keeps the event loop free while it computes.
    """

    async def read(
        self, statement: Executable, values: Mapping[str, object]
    ) -> Sequence[AnyRow]: ...

    async def write(self, work: Callable[[Connection], T]) -> T: ...

    def aside(self, computing: Callable[[], T]) -> T: ...

    @property
    def pools(self) -> Mapping[str, Pool]: ...

    async def close(self) -> None: ...


class Engines(NamedTuple):
    """One that writes, in transactions, and one that reads, a statement at a time."""

    write: AsyncEngine
    read: AsyncEngine

    async def dispose(self) -> None:
        """Close all connections."""
        await self.read.dispose()
        await self.write.dispose()


class Server:
    """A database that others ask too. One connection writes: writes queue here, not there.

    ``name`` begins the lines of ``unavailable``. ``lay_out`` makes the tables anew where they
    are gone; None: that is an error like another.
    """

    def __init__(
        self,
        dialect: sql.Dialect,
        engines: Engines,
        lay_out: Callable[[Connection], object] | None,
        *,
        readers: int,
        timeout: float,
        name: str,
        unavailable: type[errors.Unavailable],
    ) -> None:
        self._name, self._unavailable = name, unavailable
        self._dialect = dialect
        self._engines = engines
        self._lay_out = lay_out
        self._timeout = timeout + sql.MARGIN
        self._readers = Turns(readers)
        self._writer = Turns(1)

    async def read(self, statement: Executable, values: Mapping[str, object]) -> Sequence[AnyRow]:
        async with turn(self._readers):
            try:
                return await self._look(statement, values)
            except DBAPIError as error:
                if error.connection_invalidated:
                    return await self._look(statement, values)
                if self._lay_out is None or not self._absent(error):
                    raise
        await self.write(self._lay_out)
        raise self._unavailable(f"{self._name} had lost its tables; it is to be rebuilt.")

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with turn(self._writer):
            try:
                return await self._tried(work)
            except (DBAPIError, NoResultFound) as error:
                if self._lay_out is not None and self._absent(error):
                    await self._tried(self._lay_out)
                raise

    def aside(self, computing: Callable[[], T]) -> T:
        return await_only(asyncio.to_thread(computing))

    @property
    def pools(self) -> Mapping[str, Pool]:
        """Who reads and who writes."""
        return {"read": self._readers, "write": self._writer}

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
                    raise self._unavailable(
                        f"{self._name} did not say whether it wrote ({sql.kind(error)})."
                    ) from error
                return made

    def _absent(self, error: SQLAlchemyError) -> bool:
        return isinstance(error, NoResultFound) or self._is(error, self._dialect.absent)

    def _is(self, error: BaseException, kinds: frozenset[str]) -> bool:
        return sql.kind(error) in kinds


@asynccontextmanager
async def turn(turns: Turns) -> AsyncIterator[None]:
    """One at a time of as many as there are; TimeoutError for who waits too long."""
    async with asyncio.timeout(sqlite.QUEUE_TIMEOUT) as waiting, turns:
        waiting.reschedule(None)
        yield
