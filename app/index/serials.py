"""Serials that outlive the cache.

A cache counts; when it is lost, two things in the storage let the next one go on. Blocks
are reserved create-only, so a new cache begins above all that the former gave out. And a
note per project keeps the serial that its pages show, with a fingerprint of the state it
belongs to, so that pages come back byte for byte. Notes may be missing or old: then the
project gets a new serial, which is correct as well.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
from packaging.utils import NormalizedName

from app import errors, events
from app.cache.base import Cache
from app.index import blobs
from app.models import Project
from app.storage.base import Storage, read

BLOCKS = "serials/"
NOTES = "snapshots/"
BLOCK = 1_000_000
PAUSE = 0.5
"""Seconds within which the changes of one project share one note."""

logger = logging.getLogger(__name__)


class Note(msgspec.Struct, frozen=True):
    """The serial that the pages of a project show, and the state it belongs to."""

    serial: int
    fingerprint: str


async def reserve(storage: Storage) -> int:
    """Take the next block; the serials of a new cache must exceed the number returned."""
    names = [stored.key.removeprefix(BLOCKS) async for stored in storage.scan(BLOCKS)]
    number = max((int(name) + 1 for name in names if name.isdecimal()), default=0)
    while not await storage.create(f"{BLOCKS}{number:010d}", b""):
        number += 1
    return number * BLOCK


async def noted(storage: Storage, project: Project) -> int:
    """The serial that this very state had before; 0 where it is not known."""
    try:
        record = await read(storage, f"{NOTES}{project.name}.json", limit=1 << 12)
        note = msgspec.json.decode(record, type=Note)
    except (errors.KeyNotFound, msgspec.MsgspecError):
        return 0
    return note.serial if note.fingerprint == events.fingerprint(project) else 0


class Notes:
    """Writes notes in the background, the changes of half a second at once."""

    def __init__(self, storage: Storage, cache: Cache) -> None:
        self._storage = storage
        self._cache = cache
        self._due: set[NormalizedName] = set()
        self._wake = asyncio.Event()
        self._covered = 0

    def note(self, name: NormalizedName) -> None:
        """A project changed."""
        self._due.add(name)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(PAUSE)
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write the notes that are due. What fails is only logged: a note may be missing."""
        due, self._due = self._due, set()
        try:
            for name in due:
                await self._write(name)
            await self._cover()
        except errors.Unavailable as why:
            logger.warning("serials not noted: %s", why)

    async def _write(self, name: NormalizedName) -> None:
        project = await self._cache.project(name)
        if project is not None:
            note = Note(project.serial, events.fingerprint(project))
            key = f"{NOTES}{name}.json"
            await blobs.put_small(self._storage, key, msgspec.json.encode(note))

    async def _cover(self) -> None:
        """Reserve the next block once the serials are past the middle of the present one."""
        block = (await self._cache.serial() + BLOCK // 2) // BLOCK
        if block > self._covered:
            await self._storage.create(f"{BLOCKS}{block:010d}", b"")
            self._covered = block
