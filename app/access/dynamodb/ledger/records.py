"""The ledger's items. What is found by one thing stands at it; pointers lead to it from others.

A pointer is an item without a body, written before what it leads to and removed after, so that
whatever there is is found; one that leads nowhere is passed over. ``until`` is when DynamoDB
may remove an item by itself, in seconds since 1970.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from ulid import ULID

from app import errors
from app.dynamodb.failures import Refused
from app.dynamodb.keys import BODY, PART, SORT, Item, Key, key_in, key_of
from app.dynamodb.table import Pace, Table

T = TypeVar("T")

UNTIL = "until"
"""The attribute that DynamoDB's time to live is set to."""
BY = "by"
"""The attribute that tells one attempt to put an item from all others."""
HERE = "-"
"""The second key of what stands alone in its partition."""
NOTED_EVERY = timedelta(minutes=1)
"""Uses are noted no oftener."""
THERE = f"attribute_exists({PART})"
NOT_THERE = f"attribute_not_exists({PART})"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """The time so long after 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def number(value: int) -> dict[str, str]:
    """A number, as the SDK has it."""
    return {"N": str(value)}


def digest(text: str) -> str:
    """In place of what somebody else made up, however long."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def later(until: datetime) -> dict[str, Any]:
    """The attribute by which DynamoDB may remove an item."""
    return {UNTIL: number(micros(until) // 1_000_000 + 1)}


def item(
    key: Key, value: object = None, *, until: datetime | None = None, **more: Any
) -> dict[str, Any]:
    """An item to put; a pointer where there is no value."""
    body = {} if value is None else {BODY: {"B": msgspec.json.encode(value)}}
    return key_of(key) | body | ({} if until is None else later(until)) | more


def reader(kind: type[T]) -> Callable[[Item], T]:
    """What reads the body of an item."""
    decode = msgspec.json.Decoder(kind).decode

    def read(found: Item) -> T:
        try:
            return decode(found[BODY]["B"])
        except (msgspec.MsgspecError, KeyError) as why:
            raise errors.AccessUnavailable(
                "DynamoDB holds an entry of the ledger that cannot be read."
            ) from why

    return read


async def put_new(table: Table, one: Mapping[str, Any]) -> bool:
    """Whether it was put; not where there was one.

    A request whose answer is lost is sent again, and then finds what it put itself: the item
    says whose it is.
    """
    mine = {BY: {"S": str(ULID())}}
    if await _tried(table, "put_item", Item={**one, **mine}, ConditionExpression=NOT_THERE):
        return True
    held = await table.get(key_in(one))
    return held is not None and held.get(BY) == mine[BY]


async def put_beside(table: Table, one: Item, other: Key, condition: str) -> bool:
    """Put a new item; False where the condition does not hold for the other one.

    Whether one whose answer is lost was put is known as with ``put_new``.
    """
    mine = {BY: {"S": str(ULID())}}
    put = {"TableName": table.name, "Item": {**one, **mine}, "ConditionExpression": NOT_THERE}
    check = {"TableName": table.name, "Key": key_of(other), "ConditionExpression": condition}
    pace = Pace(table.timeout)
    while True:
        try:
            await table.ask(
                "transact_write_items", TransactItems=[{"ConditionCheck": check}, {"Put": put}]
            )
        except Refused as refused:
            if not refused.contended:
                raise
            held = await table.get_settled(key_in(one))
            if held is not None:
                return held.get(BY) == mine[BY]
            if "TransactionConflict" not in refused.reasons:
                return False
            if not await pace.pause():
                raise
        else:
            return True


async def update(table: Table, key: Key, expression: str, condition: str, **values: Any) -> bool:
    """Whether it was changed; not where the condition did not hold."""
    return await _tried(
        table,
        "update_item",
        Key=key_of(key),
        UpdateExpression=expression,
        ConditionExpression=condition,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


async def delete(table: Table, key: Key) -> bool:
    """Whether there was one."""
    return await _tried(table, "delete_item", Key=key_of(key), ConditionExpression=THERE)


async def pointers(table: Table, part: str, *, begins: str = "") -> AsyncIterator[Item]:
    """The items of a partition."""
    async for page in table.pages(part, begins=begins):
        for one in page:
            yield one


async def expired(table: Table, part: str, now: datetime) -> list[Item]:
    """The items of a partition whose time was over before ``now``."""
    limit = micros(now) // 1_000_000
    return [
        one async for one in pointers(table, part) if UNTIL in one and int(one[UNTIL]["N"]) <= limit
    ]


def second_keys(found: Iterable[Item]) -> list[str]:
    """Those of these items."""
    return [one[SORT]["S"] for one in found]


async def _tried(table: Table, operation: str, **parameters: Any) -> bool:
    try:
        await table.ask(operation, TableName=table.name, **parameters)
    except Refused as refused:
        if refused.code != "ConditionalCheckFailedException":
            raise
        return False
    return True
