"""Counts in the storage: a part for each process and day, and one record of a day that is over.

A part is written over as it grows, by its process alone. Whoever comes first puts the parts of
a day together into a record, which is created once and names the parts that it contains, and
only then removes them: whoever reads counts a part only where the record does not contain it, so
wherever that breaks off, nothing is lost and nothing counts twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date

import msgspec

from app import errors
from app.abreast import abreast
from app.downloads.counts import KEYS, Counts, Record
from app.models import Stored
from app.storage.base import Storage, read

ROOT = "downloads/"
ALL = "all"
DAYS = 400
"""Days that are kept."""
DAY = 86_400
LATE = 1800
"""Seconds after the end of a day until which a part of it may still be written over."""
GRACE = 3600
"""Seconds after the end of a day from which on its parts are put together."""
LARGEST = 64 * 2**20
"""Bytes of one key; thousands of rows are a few hundred kilobytes."""
TOGETHER = 8 * KEYS
"""Rows of a whole day that are told apart in full."""
AT_ONCE = 8
ATTEMPTS = 5
_EPOCH = date(1970, 1, 1).toordinal()
_KEY = re.compile(rf"{ROOT}(\d{{4}}-\d\d-\d\d)/([0-9A-Z]{{26}}|{ALL})\.json")

logger = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(Record)


@dataclass(slots=True)
class Found:
    """The keys of a day: by the name of their part, or ALL."""

    day: int
    keys: dict[str, Stored] = field(default_factory=dict)

    @property
    def parts(self) -> list[str]:
        """The names of the parts, in order."""
        return [name for name in self.keys if name != ALL]

    @property
    def state(self) -> tuple[object, ...]:
        """Another one where a key was written, came or went."""
        return tuple((name, one.size, one.etag, one.modified) for name, one in self.keys.items())


class Kept:
    """What is kept in one storage. A day is its ordinal, as of datetime.date."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def write(self, day: int, name: str, record: Record) -> None:
        """Write a part, over what it was before."""
        content = await asyncio.to_thread(msgspec.json.encode, record)
        digest = hashlib.sha256(content).hexdigest()
        await self._storage.put(key(day, name), _once(content), size=len(content), sha256=digest)

    async def days(self, prefix: str = ROOT) -> dict[int, Found]:
        """The days that there is something of, in order."""
        days: dict[int, Found] = {}
        async for stored in self._storage.scan(prefix):
            if (named := _named(stored.key)) is not None:
                day, name = named
                days.setdefault(day, Found(day)).keys[name] = stored
        return days

    async def read(self, found: Found, *, skip: frozenset[str] = frozenset()) -> list[Record]:
        """What counts of a day, but for some parts.

        What is damaged is left out, with a warning: the others count.
        """
        for _ in range(ATTEMPTS):
            try:
                return [record async for record in self._records(found, skip)]
            except errors.KeyNotFound:  # the parts were put together meanwhile
                again = await self.days(f"{ROOT}{date.fromordinal(found.day)}/")
                found = again.get(found.day, Found(found.day))
        raise errors.StorageUnavailable("The counts of downloads change all the time.")

    async def tidy(self, now: float) -> None:
        """Put days that are over together, and remove what is too old."""
        days = await self.days()
        gone: list[str] = []
        for day, found in days.items():
            if day <= today(now) - DAYS:
                gone += [stored.key for stored in found.keys.values()]
            elif now >= end(day) + GRACE and found.parts:
                await self._put_together(found)
        if gone:
            await self._storage.delete_many(gone)

    async def _put_together(self, found: Found) -> None:
        day, parts = found.day, found.parts
        try:
            if ALL in found.keys:  # whoever wrote it was killed before the parts were removed
                contained = frozenset((await self._record(key(day, ALL))).parts)
                await self._remove(day, [name for name in parts if name in contained])
                return
            work = abreast((self._record(key(day, name)) for name in parts), AT_ONCE)
            counts = Counts(TOGETHER)
            async with aclosing(work) as records:
                async for record in records:
                    await asyncio.to_thread(counts.merge, record)
        except errors.KeyNotFound:  # another process is about it
            return
        except errors.BlobDamaged as damage:
            logger.warning("downloads of %s stay in parts: %s", date.fromordinal(day), damage)
            return
        content = await asyncio.to_thread(msgspec.json.encode, counts.record(parts))
        if await self._storage.create(key(day, ALL), content):
            await self._remove(day, parts)

    async def _remove(self, day: int, names: list[str]) -> None:
        if names:
            await self._storage.delete_many([key(day, name) for name in names])

    async def _records(self, found: Found, skip: frozenset[str]) -> AsyncIterator[Record]:
        contained: frozenset[str] = frozenset()
        if ALL in found.keys and (whole := await self._legible(key(found.day, ALL))) is not None:
            contained = frozenset(whole.parts)
            yield whole
        for name in found.parts:
            if name not in contained and name not in skip:
                part = await self._legible(key(found.day, name))
                if part is not None:
                    yield part

    async def _legible(self, key: str) -> Record | None:
        try:
            return await self._record(key)
        except errors.BlobDamaged as damage:
            logger.warning("some downloads do not count: %s", damage)
            return None

    async def _record(self, key: str) -> Record:
        """Raises errors.KeyNotFound, errors.BlobDamaged."""
        try:
            content = await read(self._storage, key, limit=LARGEST)
            return await asyncio.to_thread(_decoder.decode, content)
        except errors.PypicloudError:
            raise
        except (ValueError, msgspec.MsgspecError) as wrong:
            raise errors.BlobDamaged(f"{key} cannot be read: {wrong}") from wrong


def key(day: int, name: str) -> str:
    """The key of a part, or of ALL."""
    return f"{ROOT}{date.fromordinal(day)}/{name}.json"


def today(now: float) -> int:
    """The day of a time."""
    return int(now // DAY) + _EPOCH


def end(day: int) -> float:
    """When a day is over."""
    return float((day + 1 - _EPOCH) * DAY)


def _named(key: str) -> tuple[int, str] | None:
    match = _KEY.fullmatch(key)
    try:
        return (date.fromisoformat(match[1]).toordinal(), match[2]) if match else None
    except ValueError:  # a 31st of June: nothing of ours
        return None


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
