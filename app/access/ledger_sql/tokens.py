"""API tokens in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from packaging.utils import NormalizedName
from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from app import errors
from app.access.ledger import Token
from app.access.ledger_sql.database import Database
from app.access.ledger_sql.tables import UNBOUND, micros, moment, packed, token_projects
from app.access.ledger_sql.tables import tokens as table
from app.models import Permission, Scope
from app.sql.database import AnyRow

USED_EVERY = timedelta(minutes=1)
KEPT = timedelta(days=1)
"""How long an expired token is there, so that whoever sends it learns why it is refused."""

_own = table.c
_projects = token_projects.c


class SqlTokens:
    """Tokens, and beside each the projects of its scope, which a generation may be bound to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token: Token) -> None:
        scope = token.scope
        rows = [
            {"token": token.id, "project": name, "generation": generation or UNBOUND}
            for name, generation in scope.projects.items()
        ]
        inserted = [insert(table).values(**_row(token))]
        if rows:
            inserted.append(insert(token_projects).values(rows))

        def work(connection: Connection) -> None:
            if token.parent is not None:
                # Held until the new one is there: whoever revokes it sees both, or came first.
                held = select(_own.id).where(_own.id == token.parent).with_for_update()
                if connection.execute(held).scalar() is None:
                    raise errors.TokenNotFound(token.parent)
            for one in inserted:
                connection.execute(one)

        await self._database.write(work)

    async def find(self, id: str) -> Token | None:
        found = await self._found(_own.id == id)
        # MariaDB compares without spaces at the end.
        return found[0] if found and found[0].id == id else None

    async def of(self, owner: str | None = None) -> Sequence[Token]:
        return await self._found(None if owner is None else _own.owner == owner)

    async def revoke(self, id: str) -> bool:
        return bool(await self._drop(_own.id == id))

    async def revoke_all(self, owner: str) -> int:
        return await self._drop(_own.owner == owner)

    async def used(self, id: str, now: datetime) -> None:
        before = micros(now - USED_EVERY)
        longer_ago = or_(_own.last_used.is_(None), _own.last_used <= before)
        due = select(func.count()).where(_own.id == id, longer_ago)
        if (await self._database.read(due))[0][0]:
            changed = update(table).where(_own.id == id, longer_ago).values(last_used=micros(now))
            await self._database.change(changed)

    async def bind(self, project: NormalizedName, generation: str) -> None:
        meant = (_projects.project == project) & (_projects.generation == UNBOUND)
        if await self._database.read(select(_projects.token).where(meant).limit(1)):
            bound = update(token_projects).where(meant).values(generation=generation)
            await self._database.change(bound)

    async def sweep(self, now: datetime) -> int:
        return await self._drop(_own.expires < micros(now - KEPT))

    async def _found(self, which: ColumnElement[bool] | None) -> list[Token]:
        question = (
            select(table, _projects.project, _projects.generation)
            .outerjoin(token_projects, _projects.token == _own.id)
            .order_by(_own.created.desc(), _own.id, _projects.project)
        )
        rows = await self._database.read(question if which is None else question.where(which))
        return [_token(list(same)) for _, same in groupby(rows, key=lambda row: row.id)]

    async def _drop(self, which: ColumnElement[bool]) -> int:
        def work(connection: Connection) -> int:
            return drop(connection, which)

        return await self._database.write(work)


def drop(connection: Connection, which: ColumnElement[bool]) -> int:
    """Remove tokens, and those made with them; how many the first ones were."""
    # Each is held before those made with it are looked for: then nobody makes another.
    wanted = select(_own.id).where(which).with_for_update()
    found = connection.execute(wanted).scalars().all()
    ids: list[str] = list(found)
    generation = ids
    while generation:
        below = select(_own.id).where(_own.parent.in_(generation), _own.id.not_in(ids))
        held = below.with_for_update()
        generation = list(connection.execute(held).scalars().all())
        ids += generation
    if ids:
        connection.execute(delete(token_projects).where(_projects.token.in_(ids)))
        connection.execute(delete(table).where(_own.id.in_(ids)))
    return len(found)


def _row(token: Token) -> dict[str, Any]:
    body = {
        "name": token.name,
        "digest": token.digest,
        "stamp": token.owner_stamp,
        "claims": dict(token.claims),
        "networks": token.networks,
        "permissions": sorted(token.scope.permissions),
        "creates": token.scope.creates,
        "admin": token.scope.admin,
        "sufficient": token.scope.sufficient,
    }
    return {
        "id": token.id,
        "owner": token.owner,
        "publisher": token.publisher,
        "parent": token.parent,
        "created": micros(token.created),
        "expires": micros(token.expires),
        "last_used": None if token.last_used is None else micros(token.last_used),
        "body": packed(body),
    }


def _token(rows: Sequence[AnyRow]) -> Token:
    row = rows[0]
    body = json.loads(row.body)
    projects = {one.project: one.generation or None for one in rows if one.project is not None}
    return Token(
        id=row.id,
        name=body["name"],
        owner=row.owner,
        scope=Scope(
            permissions=frozenset(map(Permission, body["permissions"])),
            projects=projects,
            creates=body["creates"],
            admin=body["admin"],
            sufficient=body["sufficient"],
        ),
        created=moment(row.created),
        expires=moment(row.expires),
        digest=body["digest"],
        owner_stamp=body["stamp"],
        publisher=row.publisher,
        claims=body["claims"],
        networks=tuple(body["networks"]),
        last_used=None if row.last_used is None else moment(row.last_used),
        parent=row.parent,
    )
