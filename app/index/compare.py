"""One project of the journal against what the cache holds of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from packaging.utils import NormalizedName

from app.cache.base import NOTHING, Cache
from app.index import serials
from app.index.journal import IN_FLIGHT, Chains, Journal
from app.index.progress import Progress
from app.models import Actor, Change, Project
from app.storage.base import Storage

SYSTEM = Actor(kind="system", id="reindex")

Looking = Literal["at numbers", "at projects", "at files"]
"""Where the cache knows as many events as there are, the newest is compared all the same: none, a
project's own, or that of every file too."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A project with so many readable files; ``lacking``, if any, is what the cache lacks of it.

    ``untrue`` are the events, by their sha256, that the cache has and the storage has not.
    ``exists`` says whether the cache will list it, where that is known; ``readable`` is False
    where the chain of the project itself is broken.
    """

    name: NormalizedName
    files: int = 0
    lacking: Project | None = None
    untrue: AbstractSet[str] = NOTHING
    exists: bool = False
    readable: bool = True


class Comparer:
    """Compares projects, several at a time; counts in ``progress`` what is broken or dropped."""

    def __init__(self, storage: Storage, cache: Cache, progress: Progress) -> None:
        self._storage = storage
        self._cache = cache
        self._progress = progress
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self.journal = Journal(storage, self._turns)

    async def compare(
        self, chains: Chains, *, absent: bool = False, looking: Looking = "at projects"
    ) -> Compared:
        """What the cache lacks of a project, read from the journal; ``absent``: all of it.

        What the cache holds of it and the storage does not is dropped.
        """
        known = None if absent else await self._cache.project(chains.name)
        if known is not None:
            for file in known.files:
                if file.filename not in chains.files:
                    await self.drop(known.name, file.filename)
        untrue = NOTHING if known is None else await self._untrue(chains, known, looking)
        beyond = chains if known is None else chains.beyond(known, untrue)
        if beyond is None:
            exists = known is not None and known.exists
            return Compared(name=chains.name, files=len(chains.files), exists=exists)
        return replace(await self._read(chains, beyond, known), untrue=untrue)

    async def _untrue(self, chains: Chains, known: Project, looking: Looking) -> AbstractSet[str]:
        """The events that the cache has and the storage has not, as after a backup came back.

        A cache of another storage is known by the project's own events.
        """
        foreign = False
        if chains.own and (looking != "at numbers" or known.sequence > len(chains.own)):
            foreign = not await self.journal.records_event(known)
        asked = [
            file
            for file in known.files
            if (keys := chains.files.get(file.filename))
            and (foreign or looking == "at files" or file.sequence > len(keys))
        ]
        # An event is there before the cache speaks of it: what is missing now never was.
        recorded = await asyncio.gather(*map(self.journal.records_event, asked))
        untrue = {file.head for file, there in zip(asked, recorded, strict=True) if not there}
        return untrue | {known.head} if foreign else untrue

    async def _read(self, chains: Chains, beyond: Chains, known: Project | None) -> Compared:
        found = await self.journal.read(beyond)
        self._progress.broken += len(found.broken)
        for chain, why in found.broken.items():
            logger.error("the journal of %s/%s is broken: %s", chains.name, chain, why)
        project = found.project
        if project is None:
            return Compared(name=chains.name, readable=False)
        if known is None:
            async with self._turns:
                serial = await serials.noted(self._storage, project)
            project = replace(project, serial=serial)
        unread = len(chains.files) - len(beyond.files)
        return Compared(
            name=chains.name,
            files=unread + len(project.files),
            lacking=project,
            exists=known is None and project.exists,
        )

    async def bring(self, compared: Iterable[Compared]) -> None:
        """Bring into the cache what it lacks."""
        lacking = [one for one in compared if one.lacking is not None]
        if lacking:
            projects = [one.lacking for one in lacking if one.lacking is not None]
            untrue = frozenset().union(*(one.untrue for one in lacking))
            self._progress.repaired += await self._cache.restore(
                projects, change("reindex"), untrue=untrue
            )

    async def drop(self, name: NormalizedName, filename: str | None) -> None:
        """Forget a file, or (None) a project, unless the storage holds it after all."""
        # An event is there before the cache speaks of it, so what is missing now, asked
        # again after the listing, is really gone.
        if not await self.journal.holds(name, filename):
            await self._cache.forget(name, filename, change("forget"))
            self._progress.dropped += 1


def change(action: str) -> Change:
    """A change that nobody asked for."""
    return Change(action=action, time=datetime.now(UTC), actor=SYSTEM)
