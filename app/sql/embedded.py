"""SQLite, asked over and over: whole transactions, in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import NoResultFound, SQLAlchemyError

from app import sqlite
from app.sql.database import AnyRow, turn
from app.turns import Pool, Turns

T = TypeVar("T")


class Embedded:
    """SQLite, in threads of its own: a whole transaction, or a whole question, in one hop.

    ``lay_out`` makes the tables anew where they are gone; None: that is an error like another.
    """

    def __init__(
        self, engines: sqlite.Engines, lay_out: Callable[[Connection], object] | None, *, name: str
    ) -> None:
        self._engines = engines
        self._lay_out = lay_out
        self._reading = ThreadPoolExecutor(sqlite.READERS, f"{name}-read")
        self._writing = ThreadPoolExecutor(1, f"{name}-write")
        self._readers = Turns(sqlite.READERS)
        self._writer = Turns(1)

    async def read(self, statement: Executable, values: Mapping[str, object]) -> Sequence[AnyRow]:
        async with turn(self._readers):
            return await _hop(self._reading, self._look, statement, values)

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with turn(self._writer):
            return await _hop(self._writing, self._transaction, work)

    def aside(self, computing: Callable[[], T]) -> T:
        return computing()

    @property
    def pools(self) -> Mapping[str, Pool]:
        """Who reads and who writes."""
        return {"read": self._readers, "write": self._writer}

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
        if self._lay_out is None:
            return
        missing = str(getattr(error, "orig", "")).startswith("no such table")
        if missing or isinstance(error, NoResultFound):
            with self._engines.write.begin() as connection:
                self._lay_out(connection)


async def _hop(pool: ThreadPoolExecutor, work: Callable[..., T], *given: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, partial(work, *given))
