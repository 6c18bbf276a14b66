"""Listing a bucket, in the order of the keys, whatever order the store has."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from operator import itemgetter
from typing import Any, NamedTuple

from app.storage.s3.client import Client

Object = dict[str, Any]
"""An object as S3 lists it."""
FEW = 16
"""Folders that are looked into one by one, rather than held in memory as wholes."""
ABREAST = 8
"""Segments of one listing that are asked for at a time."""
FULL = 1000
"""Objects of a page."""
PAGES = 4
"""Pages of a segment that are held while it is not its turn."""
CROWDED = 4
"""Objects in a folder, on average, from which on segments pay: finding them costs requests."""

_key = itemgetter("Key")


class Segment(NamedTuple):
    """The keys after ``after`` and from ``start`` to before ``stop`` (None: to the end)."""

    after: str
    start: str
    stop: str | None


async def ascending(
    client: Client, prefix: str, *, by_folder: bool
) -> AsyncGenerator[Object, None]:
    """All objects below a prefix; ``by_folder`` says that the store's order is that of folders."""
    first, whole = await anext(_pages(client, prefix))
    if by_folder and not whole:
        async for found in _folders(client, prefix):
            yield found
        return
    for found in sorted(first, key=_key):
        yield found
    if whole:
        return
    last = first[-1]["Key"]
    folders = {name for each in first if (name := _folder(each["Key"], prefix))}
    if len(folders) * CROWDED > len(first):
        async for found in _rest(client, prefix, Segment(last, "", None)):
            yield found
        return
    async with aclosing(_abreast(client, prefix, Cut(last, len(folders)))) as abreast:
        async for found in abreast:
            yield found


async def by_folder(client: Client, prefix: str) -> bool:
    """Whether the store lists ``PREFIX/b`` before ``PREFIX-a``, both of which are there."""
    page, _ = await anext(_pages(client, prefix))
    return page != sorted(page, key=_key)


async def _abreast(client: Client, prefix: str, cut: Cut) -> AsyncGenerator[Object, None]:
    """The objects after the cut's key, by segments, several of them at a time."""
    segments = cut.segments(client, prefix)
    tasks: deque[tuple[Segment, asyncio.Task[tuple[list[Object], str | None]]]] = deque()
    more = True
    try:
        while True:
            while more and len(tasks) < ABREAST:
                segment = await anext(segments, None)
                more = segment is not None
                if segment is not None:
                    work = _beginning(client, prefix, segment)
                    tasks.append((segment, asyncio.create_task(work)))
            if not tasks:
                return
            segment, task = tasks[0]
            found, end = await task
            tasks.popleft()
            cut.learn(len(found))
            for each in found:
                yield each
            if end is not None:
                async for each in _rest(client, prefix, segment._replace(after=end)):
                    yield each
    finally:
        for _, task in tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)


class Cut:
    """Cuts everything after the key ``last``, so that a segment is a page, nearly full.

    ``folders`` is how many folders the page had that ends there.
    """

    def __init__(self, last: str, folders: int) -> None:
        self._last = last
        self._folders = max(1, folders * 3 // 4)

    def learn(self, found: int) -> None:
        """Make the segments larger or smaller by what one of them held."""
        if found < FULL // 2:
            self._folders *= 2
        elif found > FULL:
            self._folders = max(1, self._folders // 2)

    async def segments(self, client: Client, prefix: str) -> AsyncIterator[Segment]:
        """All of them, in order."""
        more: dict[str, Any] = {"StartAfter": self._last}
        after, start, seen = self._last, "", 0
        while True:
            answer = await client.ask("list_objects_v2", Prefix=prefix, Delimiter="/", **more)
            for common in answer.get("CommonPrefixes", []):
                seen += 1
                if seen >= self._folders and common["Prefix"] > self._last:
                    yield Segment(after, start, common["Prefix"])
                    start, seen = common["Prefix"], 0
                    after = f"{start[:-1]}.~"  # a dot is what comes before a slash
            if not answer.get("IsTruncated"):
                yield Segment(after, start, None)
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}


async def _beginning(
    client: Client, prefix: str, segment: Segment
) -> tuple[list[Object], str | None]:
    """The first objects of a segment, and the key after which the others come, if any do."""
    held: list[Object] = []
    count = 0
    async for page, last in _pages(client, prefix, StartAfter=segment.after):
        count += 1
        held += _within(page, segment)
        if last or not page or _beyond(page, segment):
            return held, None
        if count == PAGES:
            return held, page[-1]["Key"]
    return held, None


async def _rest(client: Client, prefix: str, segment: Segment) -> AsyncIterator[Object]:
    """The objects of a segment, page after page."""
    async for page, _ in _pages(client, prefix, StartAfter=segment.after):
        for found in _within(page, segment):
            yield found
        if _beyond(page, segment):
            return


def _within(page: list[Object], segment: Segment) -> list[Object]:
    stop = segment.stop
    return [
        each
        for each in page
        if segment.start <= each["Key"] and (stop is None or each["Key"] < stop)
    ]


def _beyond(page: list[Object], segment: Segment) -> bool:
    return segment.stop is not None and bool(page) and page[-1]["Key"] >= segment.stop


async def _folders(client: Client, prefix: str) -> AsyncIterator[Object]:
    """The objects of a store that lists one folder after the other: ``a/b`` before ``a-b``."""
    children = await client.ask("list_objects_v2", Prefix=prefix, Delimiter="/", MaxKeys=FEW)
    if children.get("IsTruncated"):
        async for found in _sorted(client, prefix):
            yield found
        return
    prefixes = children.get("CommonPrefixes", [])
    folders: list[Object] = [{"Key": each["Prefix"], "Folder": True} for each in prefixes]
    for child in sorted([*folders, *children.get("Contents", [])], key=_key):
        if "Folder" not in child:
            yield child
            continue
        async for found in ascending(client, child["Key"], by_folder=True):
            yield found


async def _sorted(client: Client, prefix: str) -> AsyncIterator[Object]:
    """The same, by holding a folder until those that belong before it have come."""
    start = prefix.rfind("/") + 1
    held: list[Object] = []
    base = ""
    async for page, _ in _pages(client, prefix):
        for found in page:
            name = found["Key"][start:].partition("/")[0]
            if held and name != base and not (name.startswith(base) and name[len(base)] < "/"):
                for each in sorted(held, key=_key):
                    yield each
                held.clear()
            if not held:
                base = name
            held.append(found)
    for each in sorted(held, key=_key):
        yield each


async def _pages(
    client: Client, prefix: str, **begin: str
) -> AsyncIterator[tuple[list[Object], bool]]:
    """All objects below a prefix as the store orders them, and whether these are the last."""
    more: dict[str, Any] = {**begin}
    while True:
        answer = await client.ask("list_objects_v2", Prefix=prefix, **more)
        last = not answer.get("IsTruncated")
        yield answer.get("Contents", []), last
        if last:
            return
        more = {"ContinuationToken": answer["NextContinuationToken"]}


def _folder(key: str, prefix: str) -> str:
    """The folder below the prefix that a key is in; empty where it is in none."""
    name, slash, _ = key[len(prefix) :].partition("/")
    return name + slash if slash else ""
