"""Removing what nobody reads any more. It may break off: whoever comes next begins anew."""

from __future__ import annotations

from packaging.utils import NormalizedName

from app.cache.dynamodb import records
from app.cache.dynamodb.records import CHANGES
from app.cache.dynamodb.table import Table

LONGEST = 600
"""Seconds after which somebody else may begin anew with what is not done."""


async def sweep(table: Table, prefix: str) -> None:
    """All items with this prefix."""
    for part in records.every_part(prefix):
        async for page in table.pages(part):
            await table.write_many(deletes=[records.key_in(one) for one in page])


async def drop_files(table: Table, prefix: str, name: NormalizedName, incarnation: str) -> None:
    """The files of one incarnation of a project."""
    part = records.files_part(prefix, name)
    async for page in table.pages(part, begins=f"{name}/"):
        of_it = [one for one in page if records.incarnation(one) == incarnation]
        await table.write_many(deletes=[records.key_in(one) for one in of_it])


async def drop_changes(table: Table, serial: int) -> None:
    """The changes up to this serial."""
    last = records.change_key(serial)[1]
    async for page in table.pages(CHANGES, limit=1000):
        keys = [records.key_in(one) for one in page]
        old = [key for key in keys if key[1] <= last]
        await table.write_many(deletes=old)
        if len(old) < len(keys):
            return
