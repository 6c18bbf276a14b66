"""The requests that are made of one table, each bounded in time and tried again until then."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from itertools import count, islice
from typing import Any, TypeVar

from botocore.exceptions import ClientError
from ulid import ULID

from app import aws, errors
from app.dynamodb.failures import Failures, Refused, Unanswered
from app.dynamodb.keys import PART, REVISION, SORT, Item, Key, key_in, key_of

logger = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")

PAUSE, LONGEST = 0.025, 1.0
"""Seconds between two attempts, the first and the longest; doubled and shaken."""
GOTTEN, WRITTEN = 100, 25
"""Items in one request, at the most."""
IN_FLIGHT = 16
"""Requests of one bulk under way at once."""


async def together(every: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What they all return; the first that raises ends the others."""
    tasks = [asyncio.create_task(one) for one in every]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """The same for two of different kinds."""
    first, second = asyncio.create_task(one), asyncio.create_task(other)
    try:
        return await asyncio.gather(first, second)
    finally:
        first.cancel()
        second.cancel()


def pauses(longest: float = LONGEST) -> Iterator[float]:
    """Seconds to wait before each further attempt: ever longer, and never those of another."""
    nominal = PAUSE
    while True:
        yield random.uniform(0.2, 1) * nominal  # noqa: S311  # nobody is to guess it
        nominal = min(2 * nominal, longest)


class Pace:
    """Pauses with jitter, ever longer, until ``seconds`` are over."""

    def __init__(self, seconds: float, *, longest: float = LONGEST) -> None:
        self._ends = asyncio.get_running_loop().time() + seconds
        self._pauses = pauses(longest)

    @property
    def left(self) -> float:
        """Seconds."""
        return self._ends - asyncio.get_running_loop().time()

    async def pause(self) -> bool:
        """Wait a while, unless the time is over: then False, at once."""
        seconds = next(self._pauses)
        if seconds >= self.left:
            return False
        await asyncio.sleep(seconds)
        return True


class Table:
    """The SDK's client (``sdk``) for the table ``name``; no call takes longer than ``timeout``.

    Raises Refused for an answer that is an error, Unanswered where there is none, both of the
    kinds in ``failures``. A table that is gone is made anew by ``anew``, where that is given.
    """

    def __init__(
        self,
        sdk: Any,
        name: str,
        *,
        timeout: float,
        failures: Failures,
        anew: Callable[[Table], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.failures = failures
        self._sdk = sdk
        self._anew = anew
        self._making: asyncio.Task[None] | None = None

    async def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one operation, which may be done twice."""
        pace = Pace(self.timeout)
        refused: errors.Unavailable | None = None
        while True:
            try:
                async with asyncio.timeout(max(pace.left, 0.001)):
                    answer: dict[str, Any] = await getattr(self._sdk, operation)(**parameters)
                    return answer
            except ClientError as error:
                told = self.failures.refused(error)
                refused = told
                if told.absent and operation != "describe_table" and self._anew is not None:
                    await self._make_anew(pace.left, self._anew)
                if not told.transient:
                    raise refused from None
            except aws.BROKEN as error:
                cut_short = isinstance(error, TimeoutError)
                # What the attempt before met tells more than that there was no time for this one.
                if not (cut_short and isinstance(refused, Unanswered)):
                    refused = self.failures.unanswered(error)
            if not await pace.pause():
                raise refused from None

    async def _make_anew(self, patience: float, anew: Callable[[Table], Awaitable[None]]) -> None:
        """Make the table, whoever asks for it first; it knows nothing, and so is not built.

        Nobody waits for it longer than ``patience`` seconds, and it goes on without them.
        """
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._remade(anew))
        await asyncio.wait([self._making], timeout=max(patience, 0))
        raise self.failures.unavailable(
            f"The table {self.name!r} was gone; what it held is to be rebuilt."
        )

    async def _remade(self, anew: Callable[[Table], Awaitable[None]]) -> None:
        try:
            await anew(self)
        except errors.PypicloudError as why:
            logger.warning("the table %s is gone, and cannot be made anew: %s", self.name, why)

    async def close(self) -> None:
        """End what goes on although nobody waits for it any more."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)

    async def get(self, key: Key) -> Item | None:
        """One item, as it is now."""
        answer = await self.ask(
            "get_item", TableName=self.name, Key=key_of(key), ConsistentRead=True
        )
        found: Item | None = answer.get("Item")
        return found

    async def get_settled(self, key: Key) -> Item | None:
        """The same, once no transaction is under way that writes it.

        ``get`` may still see what stood there before a transaction of which other items are
        to be seen already.
        """
        pace = Pace(self.timeout)
        wanted = [{"Get": {"TableName": self.name, "Key": key_of(key)}}]
        while True:
            try:
                answer = await self.ask("transact_get_items", TransactItems=wanted)
            except Refused as refused:
                if not refused.contended or not await pace.pause():
                    raise
            else:
                found: Item | None = answer["Responses"][0].get("Item")
                return found

    async def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Those of these items that there are, each as it is now."""
        found: dict[Key, Item] = {}
        left = [key_of(key) for key in dict.fromkeys(keys)]
        pace = Pace(self.timeout)
        while left:
            asked, left = left[:GOTTEN], left[GOTTEN:]
            wanted = {self.name: {"Keys": asked, "ConsistentRead": True}}
            answer = await self.ask("batch_get_item", RequestItems=wanted)
            found.update((key_in(one), one) for one in answer["Responses"].get(self.name, ()))
            if again := answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys"):
                left += again
                if not await pace.pause():
                    raise self.failures.unavailable("DynamoDB has no capacity left for reads.")
        return found

    async def pages(
        self, part: str, *, begins: str = "", after: str = "", limit: int | None = None
    ) -> AsyncIterator[Sequence[Item]]:
        """The items of a partition by their second key, as they are now, page by page.

        Only those whose key begins with ``begins``, or is above ``after``. ``limit`` bounds a
        page, never all of them.
        """
        condition, values = f"{PART} = :part", {":part": {"S": part}}
        if begins:
            condition += f" AND begins_with({SORT}, :from)"
            values[":from"] = {"S": begins}
        elif after:
            condition += f" AND {SORT} > :from"
            values[":from"] = {"S": after}
        more: dict[str, Any] = {} if limit is None else {"Limit": limit}
        for number in count():
            answer = await self.ask(
                "query",
                TableName=self.name,
                ConsistentRead=True,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                **more,
            )
            if answer["Items"] or not number:
                yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            more["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def write_many(
        self, puts: Iterable[Mapping[str, Any]] = (), *, deletes: Iterable[Key] = ()
    ) -> None:
        """Put and delete items, in any order, whatever stood there."""
        requests = iter(
            [
                *({"PutRequest": {"Item": one}} for one in puts),
                *({"DeleteRequest": {"Key": key_of(key)}} for key in deletes),
            ]
        )

        async def work() -> None:
            while batch := list(islice(requests, WRITTEN)):
                await self._write(batch)

        await together(work() for _ in range(IN_FLIGHT))

    async def _write(self, batch: list[Any]) -> None:
        pace = Pace(self.timeout)
        while True:
            answer = await self.ask("batch_write_item", RequestItems={self.name: batch})
            batch = answer.get("UnprocessedItems", {}).get(self.name, [])
            if not batch:
                return
            if not await pace.pause():
                raise self.failures.unavailable("DynamoDB has no capacity left for writes.")

    async def transact(self, writes: Iterable[tuple[Key, Item | None, int | None]]) -> None:
        """All at once or none: put (None: delete) items that this revision (None: no) wrote."""
        await self.ask(
            "transact_write_items",
            ClientRequestToken=str(ULID()),
            TransactItems=[self._conditional(*write) for write in writes],
        )

    def _conditional(self, key: Key, item: Item | None, revision: int | None) -> dict[str, Any]:
        request: dict[str, Any] = {
            "TableName": self.name,
            "ConditionExpression": f"attribute_not_exists({PART})",
        }
        if revision is not None:
            request["ConditionExpression"] = f"{REVISION} = :held"
            request["ExpressionAttributeValues"] = {":held": {"N": str(revision)}}
        if item is None:
            return {"Delete": {**request, "Key": key_of(key)}}
        return {"Put": {**request, "Item": item}}
