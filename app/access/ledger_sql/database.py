"""What the ledger asks of a database: one statement read, one transaction written."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Row, Select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.dml import Delete, Insert, Update

from app import errors, sql

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]

ATTEMPTS = 6
PAUSE = 0.02
"""Seconds, doubled and shaken, between the attempts of a transaction that was unlucky."""
UNLUCKY = frozenset({"1020", "1205", "1213", "40001", "40P01"})
"""MariaDB's and PostgreSQL's deadlocks and the like, by number."""


class Engines(Protocol):
    """One that writes, in transactions, and one that reads, a statement at a time."""

    @property
    def write(self) -> AsyncEngine: ...

    @property
    def read(self) -> AsyncEngine: ...


class Database:
    """Every method raises errors.AccessUnavailable where the database does not answer."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def read(self, question: Select[*tuple[Any, ...]]) -> Sequence[AnyRow]:
        """The rows of one statement."""
        with _answering():
            try:
                return await self._look(question)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return await self._look(question)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """One transaction. ``work`` may be done again, from its beginning.

        IntegrityError is tried again too: whoever was quicker is seen then.
        """
        with _answering():
            for attempt in range(1, ATTEMPTS):
                try:
                    return await self._transaction(work)
                except DBAPIError as error:
                    lost = error.connection_invalidated or sql.kind(error) in UNLUCKY
                    if not (lost or isinstance(error, IntegrityError)):
                        raise
                await asyncio.sleep(PAUSE * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
            return await self._transaction(work)

    async def change(self, *statements: Insert | Update | Delete) -> int:
        """One transaction of these; how many rows the first of them changed."""

        async def work(connection: AsyncConnection) -> int:
            changed = [(await connection.execute(one)).rowcount for one in statements]
            return changed[0]

        return await self.write(work)

    async def _look(self, question: Select[*tuple[Any, ...]]) -> Sequence[AnyRow]:
        async with self._engines.read.connect() as connection:
            rows: Sequence[AnyRow] = (await connection.execute(question)).all()
            return rows

    async def _transaction(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._engines.write.connect() as connection:
            transaction = await connection.begin()
            made = await work(connection)
            try:
                await transaction.commit()
            except DBAPIError as error:
                if sql.kind(error) in UNLUCKY:
                    raise
                # Not to be tried again: it may stand.
                raise errors.AccessUnavailable(
                    f"The ledger of access did not say whether it wrote ({sql.kind(error)})."
                ) from error
            return made


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = f"The ledger of access does not answer ({sql.kind(error)})."
        raise errors.AccessUnavailable(reason) from error
