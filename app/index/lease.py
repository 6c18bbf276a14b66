"""Leases in the storage: numbered, create-only records of who is about a task, and how far.

The greatest number counts. Its holder writes the next one every few seconds; where that
stays away, anybody may write it instead, and of several who try one succeeds. No clock is
compared with another: whether a record has become old is what a watcher saw by its own.
Leases save work; nothing that must be right depends on them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from app import errors
from app.index import holder as holders
from app.index.holder import Holder
from app.index.progress import Progress
from app.storage.base import Storage, read

ROOT = "leases/"
KEPT = 2
"""Records that stay: a watcher may be about to read the one that was the newest."""
LIMIT = 1 << 16
FORGOTTEN = timedelta(days=7)
"""After so long a task that nobody has touched is swept away."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: a holder writes every ``beat``; silent for ``life``, it has lost its lease.

    Watchers look every ``look``.
    """

    beat: float = 2.0
    life: float = 10.0
    look: float = 1.0


class Record(msgspec.Struct, frozen=True):
    """What a holder wrote."""

    holder: Holder
    progress: Progress


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest record of a lease; ``record`` is None where it cannot be read."""

    number: int
    record: Record | None

    @property
    def running(self) -> bool:
        """Whether it says that somebody is about it."""
        return self.record is not None and self.record.progress.running


class Lease:
    """The records of one task, below ``leases/{task}/``."""

    def __init__(self, storage: Storage, task: str) -> None:
        self._storage = storage
        self._prefix = f"{ROOT}{task}/"

    async def newest(self) -> Seen | None:
        """The record that counts; None where there never was one."""
        while numbers := await self.numbers():
            with suppress(errors.KeyNotFound):  # its holder wrote two more meanwhile
                return Seen(numbers[-1], await self._read(numbers[-1]))
        return None

    async def numbers(self) -> list[int]:
        """Those of the records that are there, ascending."""
        names = [
            stored.key.removeprefix(self._prefix).removesuffix(".json")
            async for stored in self._storage.scan(self._prefix)
        ]
        return [int(name) for name in names if name.isdecimal()]

    async def take(self, seen: Seen | None, record: Record) -> Held | None:
        """Become the holder after what was seen; None where somebody else did."""
        held = Held(self, seen.number if seen else 0, record)
        await held.write()
        return None if held.lost else held

    async def put(self, number: int, record: Record) -> bool:
        """Write a record; False where one stands there."""
        return await self._storage.create(self._key(number), msgspec.json.encode(record))

    async def is_of(self, number: int, holder: Holder) -> bool:
        """Whether the record of this number is this holder's."""
        with suppress(errors.KeyNotFound):
            found = await self._read(number)
            return found is not None and found.holder.id == holder.id
        return False

    async def remove(self, numbers: list[int]) -> None:
        """Take records away."""
        await self._storage.delete_many([self._key(number) for number in numbers])

    async def _read(self, number: int) -> Record | None:
        try:
            content = await read(self._storage, self._key(number), limit=LIMIT)
            return msgspec.json.decode(content, type=Record)
        except (msgspec.MsgspecError, ValueError) as why:
            logger.warning("%s cannot be read as a lease: %s", self._key(number), why)
            return None

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:010d}.json"


class Held:
    """A lease that we hold, until ``lost``; its progress may be changed meanwhile."""

    def __init__(self, lease: Lease, number: int, record: Record) -> None:
        self._lease = lease
        self._number = number
        self._record = record
        self._writing = asyncio.Lock()
        self.lost = False

    @property
    def progress(self) -> Progress:
        """What is written of the task."""
        return self._record.progress

    async def write(self) -> None:
        """Say how far we are; or learn that the lease is another's."""
        async with self._writing:
            if not self.lost:
                await self._write()

    async def _write(self) -> None:
        number = self._number + 1
        self._record.progress.updated = datetime.now(UTC)
        while not (made := await self._lease.put(number, self._record)):
            # An earlier attempt may have succeeded without our hearing of it.
            if not await self._lease.is_of(number, self._record.holder):
                break
            number += 1
        numbers = await self._lease.numbers()
        # After a long sleep the place may be free only because others went on and swept it.
        if made and numbers and numbers[-1] == number:
            self._number = number
            if old := numbers[:-KEPT]:
                await self._lease.remove(old)
            return
        self.lost = True
        if made:
            await self._lease.remove([number])

    @asynccontextmanager
    async def beating(self, every: float) -> AsyncIterator[None]:
        """Write again and again while the block runs."""
        beats = asyncio.create_task(self._beat(every))
        try:
            yield
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)

    async def _beat(self, every: float) -> None:
        while not self.lost:
            await asyncio.sleep(every)
            try:
                await self.write()
            except errors.StorageUnavailable as why:
                logger.warning("the lease will be renewed later: %s", why)


class Watch:
    """Tells whether the holder of what is seen again and again has died."""

    def __init__(self, life: float) -> None:
        self._life = life
        self._last: tuple[int, str] | None = None
        self._since = 0.0

    async def is_over(self, seen: Seen | None) -> bool:
        """Whether nobody is about it any more."""
        if seen is None or seen.record is None or not seen.running:
            return True
        now = time.monotonic()
        last = (seen.number, seen.record.holder.id)
        if last != self._last:
            self._last, self._since = last, now
        if now - self._since >= self._life:
            return True
        return await asyncio.to_thread(holders.is_gone, seen.record.holder)


async def sweep(storage: Storage, task: str, *, but: str) -> None:
    """Take away the leases of ``task`` below it that nobody has touched for long.

    Times are the store's, as those of ``but``, which stays, are.
    """
    found = [stored async for stored in storage.scan(f"{ROOT}{task}/")]
    mine = [stored.modified for stored in found if stored.key.startswith(f"{ROOT}{task}/{but}/")]
    if mine:
        oldest = max(mine) - FORGOTTEN
        if old := [stored.key for stored in found if stored.modified < oldest]:
            await storage.delete_many(old)
