"""Removing what nobody reads any more. It may break off: whoever comes next begins anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from packaging.utils import NormalizedName

from app.cache.dynamodb import records
from app.cache.dynamodb.records import CHANGES
from app.dynamodb.keys import Key, key_in
from app.dynamodb.table import Table

LONGEST = 600
"""Seconds after which somebody else may begin anew with what is not done."""


async def sweep(table: Table, prefix: str) -> None:
    """All items with this prefix."""
    for part in records.every_part(prefix):
        async for page in table.pages(part):
            await table.write_many(deletes=[key_in(one) for one in page])


async def drop_files(table: Table, prefix: str, name: NormalizedName, incarnation: str) -> None:
    """The files of one incarnation of a project."""
    part = records.files_part(prefix, name)
    async for page in table.pages(part, begins=f"{name}/"):
        of_it = [one for one in page if records.incarnation(one) == incarnation]
        await table.write_many(deletes=[key_in(one) for one in of_it])


async def old_changes(
    table: Table, sinces: Iterable[int], below: int
) -> AsyncIterator[tuple[int, list[Key]]]:
    """The keys of the changes up to the serial ``below``, page by page with their last serial.

    The first item above each of ``sinces`` is not among them.
    """
    left = sorted(sinces, reverse=True)
    above, last = records.change_key(min(left, default=0))[1], records.change_key(below)[1]
    async for page in table.pages(CHANGES, after=above, limit=1000):
        keys = [key for key in map(key_in, page) if key[1] <= last]
        old = []
        for key in keys:
            is_first = False
            while left and records.change_key(left[-1])[1] < key[1]:
                left.pop()
                is_first = True
            if not is_first:
                old.append(key)
        if old:
            yield int(old[-1][1]), old
        if len(keys) < len(page):
            return


async def drop_changes(table: Table, serial: int) -> None:
    """The changes up to this serial."""
    last = records.change_key(serial)[1]
    async for page in table.pages(CHANGES, limit=1000):
        keys = [key_in(one) for one in page]
        old = [key for key in keys if key[1] <= last]
        await table.write_many(deletes=old)
        if len(old) < len(keys):
            return
