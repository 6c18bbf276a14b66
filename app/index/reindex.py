"""Bring the cache up to the journal, beside live traffic.

Every project is listed; what the cache does not know of it is read, folded and repaired in
the cache by itself. Newer events win, so a reindex never undoes what happens meanwhile, and
readers never see half a project.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from packaging.utils import NormalizedName

from app.cache.base import Cache
from app.index import serials
from app.index.journal import IN_FLIGHT, Chains, Journal
from app.models import Actor, Change, Project
from app.storage.base import Storage

BATCH = 500
"""Files brought into the cache at once, at the least."""
READERS = 64
"""Projects read at once; of their keys ``journal.IN_FLIGHT``."""
BEGIN = "begin"
SYSTEM = Actor(kind="system", id="reindex")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a reindex has come, and what it found."""

    running: bool = True
    projects: int = 0
    files: int = 0
    repaired: int = 0
    dropped: int = 0
    broken: int = 0


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Compared:
    """A project with so many readable files; ``lacking``, if any, is what the cache lacks of it."""

    files: int
    lacking: Project | None


class Reindex:
    """One run; ``progress`` may be looked at meanwhile."""

    def __init__(self, storage: Storage, cache: Cache, report: Report | None = None) -> None:
        self._storage = storage
        self._cache = cache
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self._journal = Journal(storage, self._turns)
        self._report = report
        self._seen: set[NormalizedName] = set()
        self.progress = Progress()

    async def run(self) -> Progress:
        """Compare everything and repair what differs; then the cache is complete."""
        try:
            await self._compare()
        finally:
            self.progress.running = False
            self._say()
        return self.progress

    async def _compare(self) -> None:
        fresh = not await self._cache.built()
        if fresh:
            await self._begin()
        batch: list[_Compared] = []
        files = 0
        async for compared in self._projects(fresh=fresh):
            batch.append(compared)
            files += compared.files
            if files >= BATCH:
                await self._bring(batch)
                batch, files = [], 0
        await self._bring(batch)
        if not fresh:
            await self._drop_projects()
        await self._cache.set_built()

    async def _begin(self) -> None:
        """Give a new cache serials above all that any former one gave out.

        The first change it records says so; whoever goes on with an interrupted build, or
        finds that somebody else wrote into the new cache first, can tell by it.
        """
        first = await self._cache.changes(0, 1)
        if not first or first[0].action != BEGIN:
            await self._cache.clear(await serials.reserve(self._storage))
            await self._cache.record(_change(BEGIN))

    async def _projects(self, *, fresh: bool) -> AsyncIterator[_Compared]:
        """Every readable project of the journal, several at a time."""
        reading: deque[asyncio.Task[_Compared | None]] = deque()
        try:
            async for chains in self._journal.chains():
                self._seen.add(chains.name)
                known = None if fresh else await self._cache.project(chains.name)
                if known is not None:
                    await self._drop_files(known, chains)
                reading.append(asyncio.create_task(self._read(chains, known, fresh=fresh)))
                if len(reading) >= READERS and (compared := await reading.popleft()):
                    yield compared
            while reading:
                if compared := await reading.popleft():
                    yield compared
        finally:
            for task in reading:
                task.cancel()

    async def _read(
        self, chains: Chains, known: Project | None, *, fresh: bool
    ) -> _Compared | None:
        beyond = chains if known is None else chains.beyond(known)
        if beyond is None:
            return _Compared(len(chains.files), None)
        found = await self._journal.read(beyond)
        self.progress.broken += len(found.broken)
        for chain, why in found.broken.items():
            logger.error("the journal of %s/%s is broken: %s", chains.name, chain, why)
        project = found.project
        if project is None:
            return None
        if fresh:
            async with self._turns:
                serial = await serials.noted(self._storage, project)
            project = replace(project, serial=serial)
        unread = len(chains.files) - len(beyond.files)
        return _Compared(unread + len(project.files), project)

    async def _bring(self, batch: list[_Compared]) -> None:
        if lacking := [compared.lacking for compared in batch if compared.lacking is not None]:
            self.progress.repaired += await self._cache.restore(lacking, _change("reindex"))
        self.progress.projects += len(batch)
        self.progress.files += sum(compared.files for compared in batch)
        self._say()

    async def _drop_projects(self) -> None:
        """Forget the projects that the cache lists and the storage does not hold."""
        after = ""
        while page := await self._cache.projects(after=after, limit=1000):
            for summary in page:
                if summary.name not in self._seen:
                    await self._drop(summary.name, None)
            after = page[-1].name

    async def _drop_files(self, known: Project, chains: Chains) -> None:
        """The same for the files of one project."""
        for file in known.files:
            if file.filename not in chains.files:
                await self._drop(known.name, file.filename)

    async def _drop(self, name: NormalizedName, filename: str | None) -> None:
        # An event is there before the cache speaks of it, so what is missing now, asked
        # again after the scan, is really gone.
        if not await self._journal.holds(name, filename):
            await self._cache.forget(name, filename, _change("forget"))
            self.progress.dropped += 1

    def _say(self) -> None:
        if self._report is not None:
            self._report(self.progress)


def _change(action: str) -> Change:
    return Change(action=action, time=datetime.now(UTC), actor=SYSTEM)
