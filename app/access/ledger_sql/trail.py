"""The audit trail in SQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from sqlalchemy import ColumnElement, Connection, bindparam, insert, select, update

from app import unbroken
from app.access import trail
from app.access.ledger import Entry
from app.access.ledger_sql import tables
from app.access.ledger_sql.database import Database

PAGE = 500
MOST = 100
"""Entries written at once."""
_own = tables.trail.c
_MINE = tables.head.c.name == "trail"
_NEWEST = select(tables.head.c.number, tables.head.c.head).where(_MINE).with_for_update()
_INSERT = insert(tables.trail)
_MOVE = (
    update(tables.head)
    .where(_MINE)
    .values(number=bindparam("new_number"), head=bindparam("new_head"))
)


class SqlTrail:
    """Entries, and one row with the newest one's number and head, which appending locks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Entry, asyncio.Future[Entry]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, entry: Entry) -> Entry:
        made: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, made))
        if self._writing is None or self._writing.done():
            self._writing = unbroken.begun(self._write())
        return await made

    async def _write(self) -> None:
        """Those that wait while others are written share the next transaction."""
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            entries = [entry for entry, _ in batch]
            try:
                sealed = await self._database.write(partial(_append, entries=entries))
            except Exception as error:  # each hears of it
                for _, made in batch:
                    if not made.done():
                        made.set_exception(error)
                continue
            for (_, made), entry in zip(batch, sealed, strict=True):
                if not made.done():
                    made.set_result(entry)

    async def entries(
        self, *, after: int = 0, limit: int | None = None, **equal: str
    ) -> AsyncIterator[Entry]:
        filters: list[ColumnElement[bool]] = [_own[name] == equal[name] for name in equal]
        left = limit
        while left is None or left > 0:
            page = PAGE if left is None else min(PAGE, left)
            question = select(_own.body).where(_own.number > after, *filters)
            rows = await self._database.read(question.order_by(_own.number).limit(page))
            for row in rows:
                entry = trail.unpacked(row.body)
                after = entry.number
                yield entry
            if len(rows) < page:
                return
            left = None if left is None else left - len(rows)


def _append(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    last, head = connection.execute(_NEWEST).one()
    made: list[Entry] = []
    for number, entry in enumerate(entries, start=last + 1):
        made.append(trail.sealed(entry, number, head))
        head = made[-1].head
    connection.execute(_INSERT, [_row(entry) for entry in made])
    connection.execute(_MOVE, {"new_number": made[-1].number, "new_head": head})
    return made


def _row(entry: Entry) -> dict[str, object]:
    return {
        "number": entry.number,
        "action": entry.action,
        "actor": trail.named(entry.actor),
        "target": entry.target,
        "body": trail.packed(entry),
    }
