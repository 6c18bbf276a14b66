"""What may be used once, and attempts. Keys are kept as SHA-256: some are typed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.access.dynamodb.ledger import records
from app.access.dynamodb.ledger.records import digest, micros
from app.dynamodb.keys import Item, Key, key_in, key_of
from app.dynamodb.table import Table, together

SHARDS = 16
"""Partitions of used ids, and of attempts."""
BUCKETS = 300
"""In a window: an attempt counts for this part of it less, at the most."""
STALE = 50
"""Buckets outside of the window that are removed from an item at once."""


class DynamoDBOnce:
    """Used ids: whoever makes the item is the one."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def use(self, kind: str, id: str, until: datetime) -> bool:
        hashed = digest(id)
        key = (_part("once", hashed), f"{kind}/{hashed}")
        return await records.put_new(self._table, records.item(key, until=until))

    async def sweep(self, now: datetime) -> int:
        return await _swept(self._table, "once", now)


class DynamoDBAttempts:
    """Attempts of each key and window in one item, in buckets that are added to atomically.

    A key's attempts are counted over the window that they were added with.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    async def count(self, key: str, window: timedelta, now: datetime) -> int:
        found = await self._table.get(_attempts(key, window))
        return 0 if found is None else sum(_within(found, window, now).values())

    async def add(self, key: str, window: timedelta, now: datetime) -> int:
        answer = await self._table.ask(
            "update_item",
            TableName=self._table.name,
            Key=key_of(_attempts(key, window)),
            UpdateExpression="ADD #bucket :one SET #until = :until",
            ExpressionAttributeNames={
                "#bucket": f"b{micros(now) // _width(window)}",
                "#until": records.UNTIL,
            },
            ExpressionAttributeValues={
                ":one": records.number(1),
                ":until": records.later(now + window)[records.UNTIL],
            },
            ReturnValues="ALL_NEW",
        )
        held: Item = answer["Attributes"]
        counted = _within(held, window, now)
        stale = [name for name in _buckets(held) if name not in counted]
        if len(stale) >= STALE:
            await self._thin_out(key, window, stale[:STALE])
        return sum(counted.values())

    async def sweep(self, now: datetime) -> int:
        return await _swept(self._table, "attempts", now)

    async def _thin_out(self, key: str, window: timedelta, stale: list[str]) -> None:
        await self._table.ask(
            "update_item",
            TableName=self._table.name,
            Key=key_of(_attempts(key, window)),
            UpdateExpression="REMOVE " + ", ".join(stale),
        )


def _attempts(key: str, window: timedelta) -> Key:
    hashed = digest(key)
    return _part("attempts", hashed), f"{hashed}/{window // timedelta(microseconds=1)}"


def _buckets(held: Item) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in held.items() if name[1:].isdigit()}


def _within(held: Item, window: timedelta, now: datetime) -> dict[str, int]:
    """The buckets that began within the window."""
    width = _width(window)
    begin = micros(now - window)
    return {name: count for name, count in _buckets(held).items() if int(name[1:]) * width > begin}


def _width(window: timedelta) -> int:
    """Of a bucket, in microseconds."""
    return max(window // timedelta(microseconds=1) // BUCKETS, 1)


def _part(what: str, hashed: str) -> str:
    return f"{what}#{int(hashed[:4], 16) % SHARDS}"


async def _swept(table: Table, what: str, now: datetime) -> int:
    """Remove what is over; how many those were."""
    parts = [f"{what}#{shard}" for shard in range(SHARDS)]
    found: list[list[Any]] = await together(records.expired(table, part, now) for part in parts)
    keys = [key_in(one) for every in found for one in every]
    await table.write_many(deletes=keys)
    return len(keys)
