"""Sessions of the web pages, each at its digest, with a pointer by its user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from app.access.dynamodb.ledger import records
from app.access.dynamodb.ledger.records import HERE, NOTED_EVERY, THERE, micros, moment, number
from app.access.ledger import Session
from app.dynamodb.keys import Item, Key
from app.dynamodb.table import Table

SEEN = "seen"
LIST = "sessions"

_read = records.reader(Session)


class DynamoDBSessions:
    """Sessions."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, session: Session) -> None:
        until = session.expires
        pointer = records.item(_pointer(session.user, session.digest), until=until)
        seen = {SEEN: number(micros(session.seen))}
        whole = records.item(_key(session.digest), session, until=until, **seen)
        await self._table.write_many([pointer])
        await self._table.write_many([whole])

    async def find(self, digest: str) -> Session | None:
        found = await self._table.get(_key(digest))
        return None if found is None else _session(found)

    async def of(self, user: str) -> Sequence[Session]:
        digests = await self._digests(user)
        found = await self._table.get_many(_key(digest) for digest in digests)
        return sorted(
            map(_session, found.values()), key=lambda one: (one.seen, one.digest), reverse=True
        )

    async def touch(self, digest: str, now: datetime) -> None:
        await records.update(
            self._table,
            _key(digest),
            f"SET {SEEN} = :now",
            f"{THERE} AND {SEEN} <= :before",
            now=number(micros(now)),
            before=number(micros(now - NOTED_EVERY)),
        )

    async def end(self, digest: str) -> bool:
        found = await self.find(digest)
        if found is None:
            return False
        ended = await records.delete(self._table, _key(digest))
        await self._table.write_many(deletes=[_pointer(found.user, digest)])
        return ended

    async def end_all(self, user: str) -> int:
        return await self._drop((user, digest) for digest in await self._digests(user))

    async def sweep(self, now: datetime) -> int:
        old = records.second_keys(await records.expired(self._table, LIST, now))
        return await self._drop(key.rsplit("/", 1) for key in old)

    async def _digests(self, user: str) -> list[str]:
        every = [one async for one in records.pointers(self._table, LIST, begins=f"{user}/")]
        return [key.rpartition("/")[2] for key in records.second_keys(every)]

    async def _drop(self, every: Iterable[Sequence[str]]) -> int:
        count = 0
        for user, digest in every:
            count += await records.delete(self._table, _key(digest))
            await self._table.write_many(deletes=[_pointer(user, digest)])
        return count


def _session(found: Item) -> Session:
    return replace(_read(found), seen=moment(int(found[SEEN]["N"])))


def _key(digest: str) -> Key:
    return f"session#{digest}", HERE


def _pointer(user: str, digest: str) -> Key:
    return LIST, f"{user}/{digest}"
