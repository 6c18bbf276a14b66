"""Bring the cache up to the journal, beside live traffic.

Every project is read and folded, then repaired in the cache by itself; newer events win,
so a reindex never undoes what happens meanwhile, and readers never see half a project.
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
from app.index.journal import Chains, Journal
from app.models import Actor, Change, Project
from app.storage.base import Storage

BATCH = 500
"""Files brought into the cache at once, at the least."""
READERS = 8
"""Projects read at once."""
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


class Reindex:
    """One run; ``progress`` may be looked at meanwhile."""

    def __init__(self, storage: Storage, cache: Cache, report: Report | None = None) -> None:
        self._storage = storage
        self._cache = cache
        self._journal = Journal(storage)
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
        batch: list[Project] = []
        files = 0
        async for project in self._projects(fresh=fresh):
            self._seen.add(project.name)
            if not fresh:
                await self._drop_files(project)
            batch.append(project)
            files += len(project.files)
            if files >= BATCH:
                await self._bring(batch, files)
                batch, files = [], 0
        await self._bring(batch, files)
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

    async def _projects(self, *, fresh: bool) -> AsyncIterator[Project]:
        """Every project of the journal, read several at a time."""
        reading: deque[asyncio.Task[Project | None]] = deque()
        try:
            async for chains in self._journal.chains():
                reading.append(asyncio.create_task(self._read(chains, fresh=fresh)))
                if len(reading) >= READERS and (project := await reading.popleft()):
                    yield project
            while reading:
                if project := await reading.popleft():
                    yield project
        finally:
            for task in reading:
                task.cancel()

    async def _read(self, chains: Chains, *, fresh: bool) -> Project | None:
        found = await self._journal.read(chains)
        self.progress.broken += len(found.broken)
        for chain, why in found.broken.items():
            logger.error("the journal of %s/%s is broken: %s", chains.name, chain, why)
        if found.project is not None and fresh:
            serial = await serials.noted(self._storage, found.project)
            return replace(found.project, serial=serial)
        return found.project

    async def _bring(self, batch: list[Project], files: int) -> None:
        if not batch:
            return
        self.progress.repaired += await self._cache.restore(batch, _change("reindex"))
        self.progress.projects += len(batch)
        self.progress.files += files
        self._say()

    async def _drop_projects(self) -> None:
        """Forget the projects that the cache lists and the storage does not hold."""
        after = ""
        while page := await self._cache.projects(after=after, limit=1000):
            for summary in page:
                if summary.name not in self._seen:
                    await self._drop(summary.name, None)
            after = page[-1].name

    async def _drop_files(self, project: Project) -> None:
        """The same for the files of one project."""
        known = await self._cache.project(project.name)
        if known is not None:
            held = {file.filename for file in project.files}
            for file in known.files:
                if file.filename not in held:
                    await self._drop(project.name, file.filename)

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
