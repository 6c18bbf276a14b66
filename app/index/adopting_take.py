"""Taking in one file: its bytes are read once, then its events are written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from app import errors, events
from app.cache.base import Cache
from app.events import Event, Publication
from app.index import blobs, claims, legacy
from app.index.adopting_names import Named, Unfit
from app.index.commit import Commits
from app.index.journal import Journal
from app.models import Actor, Stored
from app.storage.base import Storage
from app.upload.accept import Inspector, one_line, usable
from app.upload.salvage import Salvaged, salvage
from app.upload.spool import Spool, Spooled

LARGE = 256 << 20
"""Bytes; of files larger than this only LARGE_FILES are spooled at a time."""
LARGE_FILES = 2
UPLOADER_LENGTH = 200
UNKNOWN = Actor(kind="system", id="adopt")
"""Who uploaded a file of which nobody recorded it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A key that holds a distribution, and what was recorded of it."""

    stored: Stored
    named: Named
    facts: legacy.Facts
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """The chain of the file as it stands; not ``ours`` where somebody else was first."""

    records: Sequence[bytes]
    ours: bool
    notes: tuple[str, ...] = ()


class Taker:
    """Writes what makes a key of PyPICloud a file of this index.

    ``operator`` is who claims the names that are new; ``spool`` a directory for the bytes.
    """

    def __init__(
        self,
        storage: Storage,
        cache: Cache,
        commits: Commits,
        inspector: Inspector,
        *,
        spool: Path,
        operator: Actor,
    ) -> None:
        self._storage = storage
        self._cache = cache
        self._commits = commits
        self._journal = Journal(storage)
        self._inspector = inspector
        self._spool = spool
        self._operator = operator
        self._large = asyncio.Semaphore(LARGE_FILES)

    async def take(self, candidate: Candidate) -> Taken:
        """Adopt a file whose name is free. Raises Unfit for bytes that are not the recorded."""
        stored, named = candidate.stored, candidate.named
        async with (
            self._large if stored.size > LARGE else nullcontext(),
            _read(self._storage, stored, named.filename, self._spool) as spooled,
        ):
            hashes = spooled.hashes
            if why := candidate.facts.disagreement(sha256=hashes.sha256, md5=hashes.md5):
                raise Unfit(why)
            salvaged = await salvage(
                spooled.path,
                project=named.project,
                version=named.version,
                filename=named.filename,
                kind=named.kind,
                inspector=self._inspector,
            )
        return await self._commit(candidate, spooled, salvaged)

    async def tell(self, records: Sequence[bytes]) -> None:
        """See that the cache knows a file whose chain stands already."""
        file = events.fold_file(records)
        known = await self._cache.file(file.project, file.filename)
        if known is None or known.sequence < file.sequence:
            await self._commits.tell(records, events.decode(records[-1]))

    async def _commit(self, candidate: Candidate, spooled: Spooled, salvaged: Salvaged) -> Taken:
        key, named = candidate.stored.key, candidate.named
        if salvaged.metadata is not None:
            await blobs.put_small(self._storage, blobs.metadata_key(key), salvaged.metadata)
        project = await self._journal.project(named.project)
        if project is None or project.deleted:
            project, _ = await claims.claim(
                self._commits,
                named.project,
                salvaged.display_name or named.spelled,
                self._operator,
            )
        event = _publication(candidate, spooled, salvaged, project.generation)
        added = await self._commits.to_file(
            named.project, named.filename, lambda records: None if records else event
        )
        if added.event is None and events.fold_file(added.records).blob != key:
            await self._storage.delete(blobs.metadata_key(key))
        return Taken(added.records, added.event is not None, tuple(_remarks(salvaged)))


class _Spooling:
    """A spool file that threads write to, and that nobody writes to once it is discarded."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._spool: Spool | None = None
        self._discarded = False
        self._lock = threading.Lock()

    def write(self, chunk: bytes) -> None:
        with self._lock:
            if not self._discarded:
                self._opened().write(chunk)

    def finish(self, filename: str) -> Spooled:
        with self._lock:
            return self._opened().finish(filename)

    def discard(self) -> None:
        with self._lock:
            self._discarded = True
            if self._spool is not None:
                self._spool.discard()

    def _opened(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(self._directory, limit=self._limit)
        return self._spool


async def handed_out(storage: Storage, key: str) -> AsyncGenerator[bytes, None]:
    """The bytes; Unfit for those that the store keeps in an archive.

    An outage is no fault of the file: it ends the run.
    """
    try:
        async for chunk in storage.get(key):
            yield chunk
    except errors.StorageUnavailable as why:
        if not getattr(why, "archived", False):  # of stores that have archives
            raise
        raise Unfit(f"its bytes cannot be read: {why}") from None


@asynccontextmanager
async def _read(
    storage: Storage, stored: Stored, filename: str, directory: Path
) -> AsyncIterator[Spooled]:
    """The bytes of a key in a temporary file, hashed; errors.TooLarge if they grew meanwhile."""
    spooling = _Spooling(directory, stored.size)
    try:
        async with aclosing(handed_out(storage, stored.key)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(spooling.write, chunk)
        yield await asyncio.to_thread(spooling.finish, filename)
    finally:
        # Shielded, since a run that is broken off must not leave its files behind.
        await asyncio.shield(asyncio.to_thread(spooling.discard))


def _publication(
    candidate: Candidate, spooled: Spooled, salvaged: Salvaged, generation: str
) -> Event:
    """The first event: what the file says of itself, else what was recorded of it."""
    named, facts = candidate.named, candidate.facts
    silent = salvaged.metadata is None
    return Event(
        v=events.VERSION,
        seq=1,
        type="publish",
        time=candidate.stored.modified,
        actor=_uploader(facts),
        project=named.project,
        generation=generation,
        filename=named.filename,
        publication=Publication(
            blob=candidate.stored.key,
            version=named.version,
            kind=named.kind,
            python_version=named.python_version,
            size=spooled.size,
            hashes=spooled.hashes,
            metadata_sha256=None if salvaged.metadata is None else blobs.sha256(salvaged.metadata),
            metadata_static=salvaged.metadata_static,
            requires_python=usable(facts.requires_python) if silent else salvaged.requires_python,
            summary=one_line(facts.summary) if silent else salvaged.summary,
            source="adopted",
            core=salvaged.core,
        ),
    )


def _uploader(facts: legacy.Facts) -> Actor:
    if facts.uploader is None:
        return UNKNOWN
    return Actor(kind="user", id=facts.uploader[:UPLOADER_LENGTH])


def _remarks(salvaged: Salvaged) -> Sequence[str]:
    if salvaged.problem is None:
        return ()
    if salvaged.metadata is None:
        return (f"adopted without core metadata: {salvaged.problem}",)
    return (f"its core metadata is not offered to installers: {salvaged.problem}",)
