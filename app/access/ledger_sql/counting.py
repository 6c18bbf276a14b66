"""What may be used once, and attempts, in SQL. Keys are kept as SHA-256: some are typed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.access.ledger_sql import tables
from app.access.ledger_sql.database import Database
from app.access.ledger_sql.tables import micros

MOST = 4096
"""Attempts of one key that are remembered, the newest."""

_once = tables.once.c
_attempts = tables.attempts.c


class SqlOnce:
    """Used ids: whoever inserts the row is the one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def use(self, kind: str, id: str, until: datetime) -> bool:
        row = {"kind": kind, "id": _digest(id), "until": micros(until)}

        def work(connection: Connection) -> bool:
            try:
                with connection.begin_nested():
                    connection.execute(insert(tables.once).values(**row))
            except IntegrityError:
                return False
            return True

        return await self._database.write(work)

    async def sweep(self, now: datetime) -> int:
        return await self._database.change(delete(tables.once).where(_once.until < micros(now)))


class SqlAttempts:
    """The times of each key's attempts in one row, which whoever adds one has locked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, key: str, window: timedelta, now: datetime) -> int:
        question = select(_attempts.times).where(_attempts.key == _digest(key))
        rows = await self._database.read(question)
        return len(_within(rows[0].times, micros(now - window))) if rows else 0

    async def add(self, key: str, window: timedelta, now: datetime) -> int:
        mine = _attempts.key == _digest(key)
        until = micros(now + window)

        def work(connection: Connection) -> int:
            question = select(_attempts.times).where(mine).with_for_update()
            row = connection.execute(question).first()
            if row is None:
                fresh = {"key": _digest(key), "until": until, "times": _packed([micros(now)])}
                connection.execute(insert(tables.attempts).values(**fresh))
                return 1
            times = sorted([*_within(row.times, micros(now - window)), micros(now)])[-MOST:]
            changed = update(tables.attempts).where(mine)
            connection.execute(changed.values(until=until, times=_packed(times)))
            return len(times)

        return await self._database.write(work)

    async def sweep(self, now: datetime) -> int:
        over = delete(tables.attempts).where(_attempts.until < micros(now))
        return await self._database.change(over)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _packed(times: Sequence[int]) -> bytes:
    return struct.pack(f">{len(times)}q", *times)


def _within(packed: bytes, after: int) -> list[int]:
    times: tuple[int, ...] = struct.unpack(f">{len(packed) // 8}q", packed)
    return [time for time in times if time > after]
