"""The audit trail: entries in blocks, and one item with the newest one's number and head.

What is appended at once goes into one transaction, in which that item is the lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from app import errors
from app.access import trail
from app.access.ledger import Entry
from app.dynamodb.failures import Refused
from app.dynamodb.keys import BODY, REVISION, Item, Key, key_of, revision_in
from app.dynamodb.table import Pace, Table

NEWEST: Key = ("trail", "newest")
BLOCK = 10_000
"""Entries of a partition."""
TOGETHER = 25
"""Entries of a transaction."""
PAGE = 200
_RACE = 0.2
"""Seconds, the longest pause of a writer that somebody else was faster than."""


class _Newest(msgspec.Struct, frozen=True):
    number: int = 0
    head: str = ""


class _Turn(NamedTuple):
    entry: Entry
    outcome: asyncio.Future[Entry]


class DynamoDBTrail:
    """A Trail. What was begun is finished, whoever waits."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._waiting: deque[_Turn] = deque()
        self._running: asyncio.Task[None] | None = None

    async def append(self, entry: Entry) -> Entry:
        turn = _Turn(entry, asyncio.get_running_loop().create_future())
        turn.outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.append(turn)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await asyncio.shield(turn.outcome)

    async def entries(
        self, *, after: int = 0, limit: int | None = None, **equal: str
    ) -> AsyncIterator[Entry]:
        left = limit
        if left == 0:
            return
        newest, _ = await self._newest()
        for block in range(after // BLOCK, (newest.number - 1) // BLOCK + 1):
            _, above = _key(max(after, block * BLOCK))
            async for page in self._table.pages(f"trail#{block}", after=above, limit=PAGE):
                for found in page:
                    entry = _entry(found)
                    if not all(_told(entry, name) == value for name, value in equal.items()):
                        continue
                    yield entry
                    left = None if left is None else left - 1
                    if left == 0:
                        return

    async def settled(self) -> None:
        """Wait for what goes on although nobody waits for it any more."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), TOGETHER)
            batch = [self._waiting.popleft() for _ in range(count)]
            try:
                made = await self._appended([turn.entry for turn in batch])
            except Exception as error:  # whoever waits gets it, whatever it is
                for turn in batch:
                    turn.outcome.set_exception(error)
            else:
                for turn, entry in zip(batch, made, strict=True):
                    turn.outcome.set_result(entry)

    async def _appended(self, entries: Sequence[Entry]) -> list[Entry]:
        pace = Pace(self._table.timeout, longest=_RACE)
        while True:
            newest, revision = await self._newest()
            made = []
            number, head = newest.number, newest.head
            for entry in entries:
                sealed = trail.sealed(entry, number + 1, head)
                made.append(sealed)
                number, head = sealed.number, sealed.head
            lock = _item(NEWEST, number, msgspec.json.encode(_Newest(number, head)))
            writes: list[tuple[Key, Item | None, int | None]] = [(NEWEST, lock, revision)]
            for one in made:
                key = _key(one.number)
                writes.append((key, _item(key, one.number, trail.packed(one)), None))
            try:
                await self._table.transact(writes)
            except Refused as refused:
                if not refused.contended:
                    raise
            else:
                return made
            if not await pace.pause():
                raise errors.AccessUnavailable("DynamoDB: other writers were faster all the time.")

    async def _newest(self) -> tuple[_Newest, int | None]:
        found = await self._table.get(NEWEST)
        if found is None:
            return _Newest(), None
        try:
            return msgspec.json.decode(found[BODY]["B"], type=_Newest), revision_in(found)
        except (msgspec.MsgspecError, KeyError) as why:
            raise _unreadable() from why


def _key(number: int) -> Key:
    """Where an entry stands; numbers begin with one."""
    return f"trail#{max(number - 1, 0) // BLOCK}", f"{number:015d}"


def _item(key: Key, revision: int, body: bytes) -> dict[str, object]:
    return key_of(key) | {REVISION: {"N": str(revision)}, BODY: {"B": body}}


def _entry(found: Item) -> Entry:
    try:
        return trail.unpacked(found[BODY]["B"])
    except (ValueError, KeyError, TypeError) as why:
        raise _unreadable() from why


def _told(entry: Entry, name: str) -> str:
    return trail.named(entry.actor) if name == "actor" else str(getattr(entry, name))


def _unreadable() -> errors.AccessUnavailable:
    return errors.AccessUnavailable("DynamoDB holds an audit trail that cannot be read.")
