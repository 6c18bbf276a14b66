"""Listing a bucket, in the order of the keys, whatever order the store has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import itemgetter
from typing import Any

from app.storage.s3.client import Client

Object = dict[str, Any]
"""An object as S3 lists it."""
FEW = 16
"""Folders that are looked into one by one, rather than held in memory as wholes."""

_key = itemgetter("Key")


async def ascending(client: Client, prefix: str, *, by_folder: bool) -> AsyncIterator[Object]:
    """All objects below a prefix; ``by_folder`` says that the store's order is that of folders."""
    pages = _pages(client, prefix)
    first, whole = await anext(pages)
    if whole:
        for found in sorted(first, key=_key):
            yield found
    elif not by_folder:
        for found in first:
            yield found
        async for page, _ in pages:
            for found in page:
                yield found
    else:
        async for found in _folders(client, prefix):
            yield found


async def by_folder(client: Client, prefix: str) -> bool:
    """Whether the store lists ``PREFIX/b`` before ``PREFIX-a``, both of which are there."""
    page, _ = await anext(_pages(client, prefix))
    return page != sorted(page, key=_key)


async def _folders(client: Client, prefix: str) -> AsyncIterator[Object]:
    """The objects of a store that lists one folder after the other: ``a/b`` before ``a-b``."""
    children = await client.ask("list_objects_v2", Prefix=prefix, Delimiter="/", MaxKeys=FEW)
    if children.get("IsTruncated"):
        async for found in _sorted(client, prefix):
            yield found
        return
    folders = [
        {"Key": each["Prefix"], "Folder": True} for each in children.get("CommonPrefixes", [])
    ]
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


async def _pages(client: Client, prefix: str) -> AsyncIterator[tuple[list[Object], bool]]:
    """All objects below a prefix as the store orders them, and whether these are the last."""
    more: dict[str, Any] = {}
    while True:
        answer = await client.ask("list_objects_v2", Prefix=prefix, **more)
        last = not answer.get("IsTruncated")
        yield answer.get("Contents", []), last
        if last:
            return
        more = {"ContinuationToken": answer["NextContinuationToken"]}
