"""The one way to change anything: marker, event, cache, marker away.

Writing the event is the commit. Whoever finds its place taken reads what stands there
and decides again; when the cache cannot be told, the marker stays for the reconciler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from packaging.utils import NormalizedName

from app import errors, events
from app.cache.base import Cache
from app.events import Event
from app.index import pending
from app.index.journal import Journal
from app.models import Actor, Change, File, Project, Status
from app.storage.base import Storage

logger = logging.getLogger(__name__)

Draft = Callable[[Sequence[bytes]], Event | None]
"""Given the chain as it stands, the event to add, or None where nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Added:
    """A chain after a commit; ``event`` is None where nothing was to be done."""

    records: Sequence[bytes]
    event: Event | None
    serial: int = 0


class Commits:
    """Adds events to chains and brings them into the cache."""

    def __init__(
        self, storage: Storage, cache: Cache, told: Callable[[NormalizedName, int], None]
    ) -> None:
        self._storage = storage
        self._cache = cache
        self._told = told
        self._journal = Journal(storage)

    async def to_file(self, project: str, filename: str, draft: Draft) -> Added:
        """Add to the chain of a file; raises what ``draft`` raises."""
        return await self._add(project, filename, draft)

    async def to_project(self, project: str, draft: Draft) -> Added:
        """Add to the chain of a project; raises what ``draft`` raises."""
        return await self._add(project, None, draft)

    async def _add(self, project: str, filename: str | None, draft: Draft) -> Added:
        while True:
            records = await self._journal.records(project, filename)
            event = draft(records)
            if event is None:
                if records:
                    await self.catch_up(records)
                return Added(records, None)
            marker = pending.marker(project, filename, sequence=event.seq)
            await pending.put(self._storage, marker)
            record = await self._journal.append(event)
            if record is not None:
                records = [*records, record]
                serial = await self.tell(records, event)
                await self.settle(marker)
                return Added(records, event, serial)
            await self.settle(marker)

    async def tell(self, records: Sequence[bytes], event: Event) -> int:
        """Bring a chain into the cache; the serial of the change.

        Never into one that is not complete, where readers would see half a project: raises
        errors.IndexNotReady. The reindex that has to come brings it.
        """
        if not await self._cache.built():
            raise errors.IndexNotReady
        noun: Project | File
        if event.filename is None:
            noun = events.fold_project(records)
            serial = await self._cache.save_project(noun, change_of(event, None))
        else:
            noun = events.fold_file(records)
            serial = await self._tell_file(noun, event)
        if serial == 0:
            serial = await self._contest(noun, event)
        self._told(event.project, serial)
        return serial

    async def _contest(self, noun: Project | File, event: Event) -> int:
        """The cache has a later event of it; unless the storage has that too, it gives way.

        It may be of a storage that is no more, as after a backup came back: what was written
        would show nowhere.
        """
        known = await self._cache.outline(event.project, event.filename)
        if known is None or (isinstance(noun, File) and not known.files):
            raise errors.CacheUnavailable("The cache was emptied; it is to be rebuilt.")
        held = known.files[0] if isinstance(noun, File) else known
        if await self._journal.records_event(held):
            return known.serial
        given = replace(known, files=(noun,)) if isinstance(noun, File) else noun
        change = change_of(event, noun.version if isinstance(noun, File) else None)
        await self._cache.restore([given], change, untrue={held.head})
        known = await self._cache.outline(event.project)
        return known.serial if known is not None else 0

    async def _tell_file(self, file: File, event: Event) -> int:
        change = change_of(event, file.version)
        try:
            return await self._cache.save(file, change)
        except errors.ProjectNotFound:  # claimed by somebody who has not told the cache yet
            claim = await self._journal.records(file.project, None)
            await self.tell(claim, events.decode(claim[-1]))
            return await self._cache.save(file, change)

    async def catch_up(self, records: Sequence[bytes]) -> None:
        """See that the cache knows a chain, and this process what the cache knows.

        Whoever added to it may have died before they told the cache; or have told it since
        this process last looked.
        """
        event = events.decode(records[-1])
        known: Project | File | None
        if event.filename is None:
            known = await self._cache.outline(event.project)
        else:
            known = await self._cache.file(event.project, event.filename)
        if known is None or known.head != events.digest(records[-1]):
            await self.tell(records, event)
        else:
            self._told(event.project, 0)

    async def settle(self, marker: pending.Marker) -> None:
        """Take a marker away. One that cannot be removed is found by the reconciler."""
        try:
            await self._storage.delete(marker.key)
        except errors.StorageUnavailable as why:
            logger.warning("a marker stays for the reconciler: %s", why)


def change_of(event: Event, version: str | None) -> Change:
    """The change that an event makes visible."""
    return Change(
        action=event.type,
        time=event.time,
        actor=event.actor,
        project=event.project,
        filename=event.filename,
        version=version,
    )


def following(
    records: Sequence[bytes],
    kind: str,
    actor: Actor,
    *,
    reason: str | None = None,
    status: Status | None = None,
) -> Event:
    """An event that continues a chain.

    Never earlier than the one before it, whatever the clock says.
    """
    last = events.decode(records[-1])
    return Event(
        v=events.VERSION,
        seq=len(records) + 1,
        type=kind,
        time=max(datetime.now(UTC), last.time),
        actor=actor,
        project=last.project,
        generation=last.generation,
        prev=events.digest(records[-1]),
        filename=last.filename,
        reason=reason,
        status=status,
    )
