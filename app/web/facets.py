"""What the newest release of each project says: to search by, and to tell who needs whom.

It stands in core metadata, a file for each release. They are read when somebody first wants to
know, a few at a time and beside everything else; afterwards what changed is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import intern

from packaging.utils import NormalizedName

from app import errors, unbroken
from app.abreast import abreast
from app.index import Index
from app.models import ProjectSummary
from app.simple import legacy
from app.web import facts, views
from app.web.facts import Facts
from app.web.releases import newest, releases

AT_ONCE = 4
MANY = 2000
"""From so many projects on the list is compared in a thread."""
PATIENCE = 1.0
"""Seconds that whoever asks waits for what is still being read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Of one project; ``yanked``: some release of it is. ``needs`` are normalised names.

    ``files`` and ``size`` (bytes) are of all that is published.
    """

    keywords: frozenset[str] = frozenset()
    classifiers: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    origin: str = "upload"
    yanked: bool = False
    files: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known by now; ``missing`` projects are still to be read."""

    of: Mapping[NormalizedName, Said]
    missing: int


class Facets:
    """Of the projects of an index, all of them; whoever asks filters by rights."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._said: dict[NormalizedName, Said] = {}
        self._serials: dict[NormalizedName, int] = {}
        self._needing: dict[str, set[NormalizedName]] = {}
        self._settled = -1
        self.size = 0
        """Bytes of all files that are known to be published."""
        self._reading: asyncio.Task[None] | None = None

    async def known(self, patience: float = PATIENCE) -> Known:
        """What is known, once what changed was read or that took too long (seconds).

        Raises errors.IndexNotReady and errors.CacheUnavailable.
        """
        listing = await self._index.listing()
        if listing.serial == self._settled:
            return Known(self._said, 0)
        held = dict(self._serials)
        if len(listing.projects) < MANY:
            due, gone = self._compared(listing.projects, held)
        else:
            due, gone = await asyncio.to_thread(self._compared, listing.projects, held)
        for name in gone:
            self._note(name, Said())
            self._said.pop(name, None)
            self._serials.pop(name, None)
        if due and (self._reading is None or self._reading.done()):
            self._reading = unbroken.begun(self._read(due))
        if due and self._reading is not None and patience:
            await asyncio.wait({self._reading}, timeout=patience)
        missing = sum(self._serials.get(one.name) != one.serial for one in due)
        if not missing:
            self._settled = listing.serial
        return Known(self._said, missing)

    async def needing(self, name: NormalizedName) -> frozenset[NormalizedName]:
        """The projects whose newest release is known to need this one; nothing is waited for.

        Raises what ``known`` does.
        """
        if self._reading is None or self._reading.done():
            await self.known(patience=0)
        return frozenset(self._needing.get(name, ()))

    @staticmethod
    def _compared(
        projects: Sequence[ProjectSummary], held: Mapping[NormalizedName, int]
    ) -> tuple[list[ProjectSummary], list[NormalizedName]]:
        """What is to be read, and of which names nothing is there any more."""
        due = [one for one in projects if held.get(one.name) != one.serial]
        return due, list(held.keys() - {one.name for one in projects})

    async def _read(self, due: list[ProjectSummary]) -> None:
        async for summary, said in abreast(map(self._one, due), AT_ONCE):
            self._note(summary.name, said)
            self._serials[summary.name] = summary.serial

    def _note(self, name: NormalizedName, said: Said) -> None:
        before = self._said.get(name, Said())
        self._said[name] = said
        self.size += said.size - before.size
        for gone in before.needs - said.needs:
            self._needing[gone].discard(name)
        for new in said.needs - before.needs:
            self._needing.setdefault(new, set()).add(name)

    async def _one(self, summary: ProjectSummary) -> tuple[ProjectSummary, Said]:
        try:
            project = await self._index.project(summary.name)
        except errors.ProjectNotFound:  # it is gone; so it is from the next list
            return summary, Said()
        every = releases(project)
        release = newest(every)
        files = release.files if release else ()
        described = legacy.describing(files)
        told = Facts()
        if described is not None:
            try:
                metadata = await self._index.metadata(described)
            except (errors.NotFound, ValueError):  # lost, or endless: a check tells of it
                metadata = b""
            told, _ = await asyncio.to_thread(facts.read, metadata)
        return summary, Said(
            keywords=frozenset(intern(one.casefold()) for one in told.keywords),
            classifiers=frozenset(map(intern, told.classifiers)),
            needs=frozenset(intern(one.project) for one in told.dependencies if one.project),
            origin=views.origin(files),
            yanked=any(one.yanked is not None for one in every),
            files=len(project.published),
            size=sum(file.size for file in project.published),
        )
