"""The journal in the storage: reading chains of events and adding to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from app import errors, events
from app.cache.base import NOTHING
from app.events import Event
from app.models import File, Project
from app.storage.base import Storage, read

ROOT = "journal/"
PROJECT = "@project"
IN_FLIGHT = 64
"""Keys read at once."""


def chain(name: str, filename: str | None) -> str:
    """The prefix of the keys of one chain; None is the project's own."""
    return f"{ROOT}{name}/{filename or PROJECT}/"


def key(name: str, filename: str | None, sequence: int) -> str:
    """The key of one event."""
    return f"{chain(name, filename)}{sequence:010d}.json"


@dataclass(slots=True)
class Chains:
    """The keys of all chains of one project, as a listing found them."""

    name: NormalizedName
    own: list[str] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)

    def beyond(self, known: Project, untrue: AbstractSet[str] = NOTHING) -> Chains | None:
        """What must be read by somebody who knows this much; None where nothing is new.

        Events never change, so as many as are known need not be looked at again, unless their
        sha256 is among ``untrue``. The project's own chain is always there.
        """
        sequences = {f.filename: f.sequence for f in known.files if f.head not in untrue}
        files = {
            filename: keys
            for filename, keys in self.files.items()
            if not _are_first(keys, sequences.get(filename, 0))
        }
        if not files and known.head not in untrue and _are_first(self.own, known.sequence):
            return None
        return Chains(self.name, self.own, files)


def _are_first(keys: list[str], count: int) -> bool:
    """Whether these are the keys of a chain's first ``count`` events."""
    return len(keys) == count > 0 and keys[-1].endswith(f"/{count:010d}.json")


@dataclass(frozen=True, slots=True)
class Reading:
    """A project as the journal tells it, and which of its chains could not be read."""

    project: Project | None
    broken: Mapping[str, str]


class Journal:
    """All chains of one storage. ``turns`` bounds how much is read at once."""

    def __init__(self, storage: Storage, turns: asyncio.Semaphore | None = None) -> None:
        self._storage = storage
        self._turns = turns or asyncio.Semaphore(IN_FLIGHT)

    async def records(self, name: str, filename: str | None) -> list[bytes]:
        """The events of one chain, oldest first; empty where there are none."""
        keys = [stored.key async for stored in self._storage.scan(chain(name, filename))]
        return await self._read(keys)

    async def holds(self, name: str, filename: str | None) -> bool:
        """Whether anything is recorded of a file; None: of a project or any file of it."""
        prefix = f"{ROOT}{name}/" if filename is None else chain(name, filename)
        async for _ in self._storage.scan(prefix):
            return True
        return False

    async def records_event(self, known: Project | File) -> bool:
        """Whether the newest event that somebody knows of a project or a file is recorded."""
        name, filename = (
            (known.project, known.filename) if isinstance(known, File) else (known.name, None)
        )
        try:
            record = await self._record(key(name, filename, known.sequence))
        except errors.KeyNotFound:
            return False
        return events.digest(record) == known.head

    async def project(self, name: str) -> Project | None:
        """The project as it stands now, without its files. Raises errors.JournalBroken."""
        records = await self.records(name, None)
        return events.fold_project(records) if records else None

    async def append(self, event: Event) -> bytes | None:
        """Write one event; its bytes, or None where another took its place first."""
        record = events.encode(event)
        if len(record) > events.EVENT_LIMIT:
            raise errors.InvalidUpload("The metadata of this distribution is too large.")
        at = key(event.project, event.filename, event.seq)
        return record if await self._storage.create(at, record) else None

    async def confirm(self, record: bytes) -> None:
        """Make sure that an event which was found is durable, whoever wrote it and died."""
        event = events.decode(record)
        await self._storage.create(key(event.project, event.filename, event.seq), record)

    async def chains(self, name: str | None = None) -> AsyncIterator[Chains]:
        """The chains of every project, or of one, in the order of names' keys."""
        prefix = ROOT if name is None else f"{ROOT}{name}/"
        found: Chains | None = None
        async for stored in self._storage.scan(prefix):
            parts = stored.key.removeprefix(ROOT).split("/")
            if len(parts) != 3:  # not ours: somebody put it there by hand
                continue
            project, filename, _ = parts
            if found is None or found.name != project:
                if found is not None:
                    yield found
                found = Chains(NormalizedName(project))
            if filename == PROJECT:
                found.own.append(stored.key)
            else:
                found.files.setdefault(filename, []).append(stored.key)
        if found is not None:
            yield found

    async def read(self, chains: Chains) -> Reading:
        """Read and fold every chain of a project; broken ones are left out and named."""
        keys = [*chains.own, *(key for keys in chains.files.values() for key in keys)]
        records = dict(zip(keys, await self._read(keys), strict=True))
        broken: dict[str, str] = {}
        files: list[File] = []
        for filename, own in chains.files.items():
            try:
                files.append(events.fold_file([records[key] for key in own]))
            except errors.JournalBroken as why:
                broken[filename] = str(why)
        project: Project | None = None
        try:
            project = events.fold_project([records[key] for key in chains.own], files)
        except errors.JournalBroken as why:
            broken[PROJECT] = str(why)
        return Reading(project, broken)

    async def whole(self, name: str) -> Reading | None:
        """One project with all its files, read now; None where nothing is recorded."""
        async for chains in self.chains(name):
            return await self.read(chains)
        return None

    async def _read(self, keys: list[str]) -> list[bytes]:
        return await asyncio.gather(*map(self._record, keys))

    async def _record(self, key: str) -> bytes:
        async with self._turns:
            return await read(self._storage, key, limit=events.EVENT_LIMIT)
