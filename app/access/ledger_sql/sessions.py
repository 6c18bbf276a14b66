"""Sessions of the web pages in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, insert, select, update

from app.access.ledger import Session
from app.access.ledger_sql.database import Database
from app.access.ledger_sql.tables import micros, moment, packed
from app.access.ledger_sql.tables import sessions as table
from app.sql.database import AnyRow

SEEN_EVERY = timedelta(minutes=1)
_own = table.c


class SqlSessions:
    """Sessions, one row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, session: Session) -> None:
        body = {
            "stamp": session.stamp,
            "csrf": session.csrf,
            "created": micros(session.created),
            "proved": micros(session.proved),
            "address": session.address,
            "agent": session.agent,
        }
        row = {
            "digest": session.digest,
            "user": session.user,
            "seen": micros(session.seen),
            "expires": micros(session.expires),
            "body": packed(body),
        }
        await self._database.change(insert(table).values(**row))

    async def find(self, digest: str) -> Session | None:
        found = await self._found(_own.digest == digest)
        return found[0] if found and found[0].digest == digest else None

    async def of(self, user: str) -> Sequence[Session]:
        return await self._found(_own.user == user)

    async def touch(self, digest: str, now: datetime) -> None:
        due = (_own.digest == digest) & (_own.seen <= micros(now - SEEN_EVERY))
        if await self._database.read(select(_own.digest).where(due)):
            await self._database.change(update(table).where(due).values(seen=micros(now)))

    async def end(self, digest: str) -> bool:
        return bool(await self._database.change(delete(table).where(_own.digest == digest)))

    async def end_all(self, user: str) -> int:
        return await self._database.change(delete(table).where(_own.user == user))

    async def sweep(self, now: datetime) -> int:
        return await self._database.change(delete(table).where(_own.expires < micros(now)))

    async def _found(self, which: ColumnElement[bool]) -> list[Session]:
        newest_first = select(table).where(which).order_by(_own.seen.desc(), _own.digest)
        return [_session(row) for row in await self._database.read(newest_first)]


def _session(row: AnyRow) -> Session:
    body = json.loads(row.body)
    return Session(
        digest=row.digest,
        user=row.user,
        stamp=body["stamp"],
        csrf=body["csrf"],
        created=moment(body["created"]),
        seen=moment(row.seen),
        expires=moment(row.expires),
        proved=moment(body["proved"]),
        address=body["address"],
        agent=body["agent"],
    )
