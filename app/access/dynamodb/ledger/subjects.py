"""Which user is which of a provider's people: an item at the subject, a pointer at the user."""

from __future__ import annotations

import msgspec

from app.access.dynamodb.ledger import records
from app.access.dynamodb.ledger.records import HERE, digest
from app.dynamodb.keys import Key, key_in
from app.dynamodb.table import Table


class _Bound(msgspec.Struct, frozen=True):
    """Of an item at a subject ``other`` is the user, of one at a user the subject's digest."""

    other: str


_read = records.reader(_Bound)


class DynamoDBSubjects:
    """The user's item is made first: one without the other is of a login that was broken off."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def user(self, issuer: str, subject: str) -> str | None:
        found = await self._table.get(_subject(_both(issuer, subject)))
        return None if found is None else _read(found).other

    async def bind(self, issuer: str, subject: str, user: str) -> bool:
        both, of_user = _both(issuer, subject), (_user(user), digest(issuer))
        if not await self._made(of_user, both):
            return False
        if await self._made(_subject(both), user):
            return True
        await records.delete(self._table, of_user)
        return False

    async def release(self, user: str) -> int:
        held = [one async for one in records.pointers(self._table, _user(user))]
        count = 0
        for one in held:
            count += await records.delete(self._table, _subject(_read(one).other))
            await records.delete(self._table, key_in(one))
        return count

    async def _made(self, key: Key, other: str) -> bool:
        """Whether this is what is bound there, made just now or before."""
        if await records.put_new(self._table, records.item(key, _Bound(other))):
            return True
        found = await self._table.get(key)
        return found is not None and _read(found).other == other


def _both(issuer: str, subject: str) -> str:
    return digest(f"{issuer}\0{subject}")


def _subject(both: str) -> Key:
    return f"subject#{both}", HERE


def _user(user: str) -> str:
    return f"subjects-of#{user}"
