"""Which user is which of a provider's people, in SQL. Both are kept as SHA-256."""

from __future__ import annotations

import hashlib

from sqlalchemy import ColumnElement, Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from app.access.ledger_sql.database import Database
from app.access.ledger_sql.tables import subjects as table

_own = table.c


class SqlSubjects:
    """One row for each subject that is bound."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def user(self, issuer: str, subject: str) -> str | None:
        found = await self._database.read(select(_own.user).where(_is(issuer, subject)))
        return found[0].user if found else None

    async def bind(self, issuer: str, subject: str, user: str) -> bool:
        row = {"subject": _digest(issuer, subject), "issuer": _digest(issuer), "user": user}

        def work(connection: Connection) -> bool:
            try:
                with connection.begin_nested():
                    connection.execute(insert(table).values(**row))
            except IntegrityError:
                held = connection.execute(select(_own.user).where(_is(issuer, subject)))
                return held.scalar_one_or_none() == user
            return True

        return await self._database.write(work)

    async def release(self, user: str) -> int:
        return await self._database.change(delete(table).where(_own.user == user))


def _is(issuer: str, subject: str) -> ColumnElement[bool]:
    return _own.subject == _digest(issuer, subject)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
