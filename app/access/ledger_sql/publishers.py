"""Trusted publishers in SQL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from packaging.utils import NormalizedName
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app import errors
from app.access.ledger import Publisher
from app.access.ledger_sql.database import Database
from app.access.ledger_sql.tables import UNBOUND, micros, moment, packed, tokens
from app.access.ledger_sql.tables import publishers as table
from app.access.ledger_sql.tokens import drop
from app.models import Actor
from app.sql.database import AnyRow

_own = table.c


class SqlPublishers:
    """Publishers, one row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, publisher: Publisher) -> None:
        row = {
            "id": publisher.id,
            "project": publisher.project,
            "generation": publisher.generation or UNBOUND,
            "issuer": publisher.issuer,
            "same": _same(publisher),
            "added": micros(publisher.added),
            "pinned": packed(dict(publisher.pinned)),
            "body": packed(
                {
                    "provider": publisher.provider,
                    "conditions": dict(publisher.conditions),
                    "by": [publisher.added_by.kind, publisher.added_by.id],
                }
            ),
        }

        def work(connection: Connection) -> None:
            try:
                connection.execute(insert(table).values(**row))
            except IntegrityError:
                raise errors.PublisherExists from None

        await self._database.write(work)

    async def of(self, project: NormalizedName) -> Sequence[Publisher]:
        return await self._found(_own.project == project)

    async def at(self, issuer: str) -> Sequence[Publisher]:
        return await self._found(_own.issuer == issuer)

    async def find(self, id: str) -> Publisher | None:
        found = await self._found(_own.id == id)
        return found[0] if found else None

    async def remove(self, id: str) -> bool:
        def work(connection: Connection) -> bool:
            gone = connection.execute(delete(table).where(_own.id == id))
            drop(connection, tokens.c.publisher == id)
            return bool(gone.rowcount)

        return await self._database.write(work)

    async def pin(self, id: str, pinned: Mapping[str, str]) -> None:
        first = (_own.id == id) & (_own.pinned == packed({}))
        changed = update(table).where(first).values(pinned=packed(dict(pinned)))
        await self._database.change(changed)

    async def bind(self, project: NormalizedName, generation: str) -> None:
        pending = (_own.project == project) & (_own.generation == UNBOUND)

        def work(connection: Connection) -> None:
            # Whoever added an equal one to the project itself was quicker.
            there = select(_own.same).where(_own.project == project, _own.generation == generation)
            same = connection.execute(there).scalars().all()
            connection.execute(delete(table).where(pending, _own.same.in_(same)))
            connection.execute(update(table).where(pending).values(generation=generation))

        if await self._database.read(select(_own.id).where(pending).limit(1)):
            await self._database.write(work)

    async def _found(self, which: ColumnElement[bool]) -> list[Publisher]:
        rows = await self._database.read(select(table).where(which).order_by(_own.added, _own.id))
        return [_publisher(row) for row in rows]


def _same(publisher: Publisher) -> str:
    told = [publisher.project, publisher.provider, publisher.issuer, dict(publisher.conditions)]
    return hashlib.sha256(packed(told)).hexdigest()


def _publisher(row: AnyRow) -> Publisher:
    body = json.loads(row.body)
    kind, id = body["by"]
    return Publisher(
        id=row.id,
        project=NormalizedName(row.project),
        generation=row.generation or None,
        provider=body["provider"],
        issuer=row.issuer,
        conditions=body["conditions"],
        added=moment(row.added),
        added_by=Actor(kind=kind, id=id),
        pinned=json.loads(row.pinned),
    )
