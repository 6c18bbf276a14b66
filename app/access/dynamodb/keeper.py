"""The book in the table: remembered as it was, and asked after with every question."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec

from app import errors
from app.access.book import Book
from app.access.dynamodb.leaves import (
    HEAD,
    Head,
    Leaf,
    bound,
    differing,
    head_in,
    head_item,
    leaf_in,
    leaf_item,
    leaf_key,
)
from app.access.kept import Edit
from app.dynamodb.failures import Refused
from app.dynamodb.keys import Item, Key
from app.dynamodb.table import Pace, Table

_RACE = 0.2
"""Seconds, the longest pause of a writer that somebody else was faster than."""


class _Seen(NamedTuple):
    head: Head
    leaves: tuple[Leaf, ...]
    book: Book


class DynamoDBKeeper:
    """A Keeper. A question reads one small item, and leaves that were written since."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._seen = self._blank()
        self._reading = asyncio.Lock()

    async def book(self) -> Book:
        return (await self._look()).book

    async def change(self, edit: Edit) -> None:
        pace = Pace(self._table.timeout, longest=_RACE)
        while True:
            seen = await self._look()
            after = edit(seen.book)
            if after is seen.book or await self._written(seen, after):
                return
            if not await pace.pause():
                raise errors.AccessUnavailable("DynamoDB: other writers were faster all the time.")

    @staticmethod
    def _blank() -> _Seen:
        head = Head()
        return _Seen(head, (Leaf(),) * len(head.leaves), Book())

    async def _written(self, seen: _Seen, after: Book) -> bool:
        """Whether it was; not where somebody else wrote meanwhile."""
        leaves = differing(seen.book, after)
        head = msgspec.structs.replace(
            seen.head,
            revision=seen.head.revision + 1,
            leaves=tuple(
                seen.head.revision + 1 if number in leaves else revision
                for number, revision in enumerate(seen.head.leaves)
            ),
            registration=after.registration,
        )
        writes: list[tuple[Key, Item | None, int | None]] = [
            (HEAD, head_item(head), seen.head.revision or None)
        ]
        for number, leaf in leaves.items():
            put = leaf_item(number, head.revision, leaf)
            writes.append((leaf_key(number), put, seen.head.leaves[number] or None))
        try:
            await self._table.transact(writes)
        except Refused as refused:
            if refused.contended:
                return False
            if "ItemSizeLimitExceeded" in refused.reasons or refused.code == "ValidationException":
                raise errors.TooLarge(f"This is too much to change at once: {refused}") from None
            raise
        return True

    async def _look(self) -> _Seen:
        """What stands there now."""
        pace = Pace(self._table.timeout)
        while True:
            head = head_in(await self._table.get(HEAD))
            if head.revision == self._seen.head.revision:
                return self._seen
            async with self._reading:
                if head.revision <= self._seen.head.revision:
                    # Somebody else here has seen more; or the table is another than it was.
                    head = head_in(await self._table.get(HEAD))
                    if head.revision < self._seen.head.revision:
                        self._seen = self._blank()
                if head.revision == self._seen.head.revision:
                    return self._seen
                if await self._caught_up(head):
                    return self._seen
            if not await pace.pause():
                raise errors.AccessUnavailable("DynamoDB: the users are written all the time.")

    async def _caught_up(self, head: Head) -> bool:
        """Read the leaves that were written since; False where one was written again meanwhile."""
        pairs = zip(self._seen.head.leaves, head.leaves, strict=True)
        missing = [number for number, (had, has) in enumerate(pairs) if had != has]
        found = await self._table.get_many(leaf_key(number) for number in missing)
        leaves = list(self._seen.leaves)
        for number in missing:
            one = found.get(leaf_key(number))
            if one is None:
                return False
            revision, leaf = leaf_in(one)
            if revision != head.leaves[number]:
                return False
            leaves[number] = leaf
        self._seen = _Seen(head, tuple(leaves), bound(leaves, head))
        return True
