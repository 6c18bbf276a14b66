"""What the ledger asks of a database: one statement read, one transaction written."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.sql.dml import Delete, Insert, Update

from app import errors, sql
from app.sql import database
from app.sql.database import ATTEMPTS, PAUSE, AnyRow

T = TypeVar("T")


class Database:
    """Every method raises errors.AccessUnavailable where the database does not answer."""

    def __init__(self, plain: database.Database) -> None:
        self._plain = plain

    async def read(self, question: Select[*tuple[Any, ...]]) -> Sequence[AnyRow]:
        """The rows of one statement."""
        with _answering():
            return await self._plain.read(question, {})

    async def write(self, work: Callable[[Connection], T]) -> T:
        """One transaction. ``work`` may be done again, from its beginning.

        IntegrityError is tried again too: whoever was quicker is seen then.
        """
        with _answering():
            for attempt in range(1, ATTEMPTS):
                try:
                    return await self._plain.write(work)
                except IntegrityError:
                    pause = PAUSE * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311  # jitter
                    await asyncio.sleep(pause)
            return await self._plain.write(work)

    async def change(self, *statements: Insert | Update | Delete) -> int:
        """One transaction of these; how many rows the first of them changed."""

        def work(connection: Connection) -> int:
            changed = [connection.execute(one).rowcount for one in statements]
            return changed[0]

        return await self.write(work)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = f"The ledger of access does not answer ({sql.kind(error)})."
        raise errors.AccessUnavailable(reason) from error
