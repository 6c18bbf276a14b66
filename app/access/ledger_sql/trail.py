"""The audit trail in SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.access import trail
from app.access.ledger import Entry
from app.access.ledger_sql import tables
from app.access.ledger_sql.database import Database

PAGE = 500
_own = tables.trail.c
_MINE = tables.head.c.name == "trail"


class SqlTrail:
    """Entries, and one row with the newest one's number and head, which appending locks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entry: Entry) -> Entry:
        async def work(connection: AsyncConnection) -> Entry:
            question = select(tables.head.c.number, tables.head.c.head).where(_MINE)
            number, head = (await connection.execute(question.with_for_update())).one()
            made = trail.sealed(entry, number + 1, head)
            row = {
                "number": made.number,
                "action": made.action,
                "actor": trail.named(made.actor),
                "target": made.target,
                "body": trail.packed(made),
            }
            await connection.execute(insert(tables.trail).values(**row))
            newest = {"number": made.number, "head": made.head}
            await connection.execute(update(tables.head).where(_MINE).values(**newest))
            return made

        return await self._database.write(work)

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
