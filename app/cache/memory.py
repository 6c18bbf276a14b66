"""The cache in this process's memory: gone when it ends. For tests and for trying things out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from packaging.utils import NormalizedName

from app import errors
from app.cache import certainty, newest
from app.cache.base import NOTHING, Query
from app.cache.builds import Builds, emptied
from app.cache.match import matching
from app.models import Change, File, Project, ProjectSummary


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[MemoryCache]:
    """A new, empty cache; neither the rest of the URL nor any option is looked at."""
    yield MemoryCache()


@dataclass(slots=True)
class _Known:
    """One project: its facts (without files), its files by name, its line in the list."""

    facts: Project
    files: dict[str, File] = field(default_factory=dict)
    serial: int = 0
    stale: bool = True
    kept: ProjectSummary | None = None

    def takes(self, file: File, untrue: AbstractSet[str] = NOTHING) -> bool:
        """Put the file here, unless the same or a later event of it is here already."""
        held = self.files.get(file.filename)
        if held is not None and not newest.gives_way(held, file, untrue):
            return False
        self.files[file.filename] = file
        return True

    def settle(self, serial: int) -> int:
        self.serial = serial
        self.stale = True
        return serial

    def line(self) -> ProjectSummary | None:
        """Reckoned when asked for: a project of many files is saved often and listed seldom."""
        if self.stale:
            current = (f for f in self.files.values() if f.generation == self.facts.generation)
            standing = newest.fold(map(newest.candidate, current))
            self.kept = newest.summary(self.facts, standing, self.serial)
            self.stale = False
        return self.kept


class MemoryCache:
    """A Cache of dictionaries. No method awaits, so each is atomic."""

    indexed = False

    def __init__(self) -> None:
        self._known: dict[NormalizedName, _Known] = {}
        self._changes: list[Change] = []
        self._serial = 0
        self._built = False
        self._cleared = 0
        self._builds: Builds[int] = Builds()

    async def project(self, name: NormalizedName) -> Project | None:
        known = self._known.get(name)
        if known is None:
            return None
        return replace(known.facts, serial=known.serial, files=tuple(known.files.values()))

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        known = self._known.get(name)
        if known is None:
            return None
        file = known.files.get(filename) if filename is not None else None
        return replace(known.facts, serial=known.serial, files=(file,) if file else ())

    async def certain(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        found = await self.outline(name, filename)
        if not self._built and not certainty.answers(found, filename):
            raise errors.IndexNotReady
        return found

    async def file(self, name: NormalizedName, filename: str) -> File | None:
        known = self._known.get(name)
        return None if known is None else known.files.get(filename)

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        return await self.search(Query(), after=after, limit=limit)

    async def search(
        self, query: Query, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        lines = (self._known[name].line() for name in sorted(self._known) if name > after)
        present = (line for line in lines if line is not None)
        return list(islice(filter(matching(query), present), limit))

    async def save(self, file: File, change: Change) -> int:
        known = self._known.get(file.project)
        if known is None:
            raise errors.ProjectNotFound(file.project)
        if known.takes(file):
            return known.settle(self._give(change))
        return newest.told(known.files[file.filename], file, known.serial)

    async def save_project(self, project: Project, change: Change) -> int:
        known = self._known.get(project.name)
        if known is None:
            known = self._known[project.name] = _Known(_facts(project))
        elif not newest.gives_way(known.facts, project):
            return newest.told(known.facts, project, known.serial)
        known.facts = _facts(project)
        return known.settle(self._give(change))

    async def restore(
        self, projects: Sequence[Project], change: Change, *, untrue: AbstractSet[str] = NOTHING
    ) -> int:
        return sum(self._restore(project, change, untrue) for project in projects)

    def _restore(self, project: Project, change: Change, untrue: AbstractSet[str]) -> bool:
        known = self._known.get(project.name)
        serial = project.serial if known is None else 0
        differs = known is None or newest.gives_way(known.facts, project, untrue)
        if known is None:
            known = self._known[project.name] = _Known(_facts(project))
            self._serial = max(self._serial, serial)
        elif differs:
            known.facts = _facts(project)
        for file in project.files:
            differs |= known.takes(file, untrue)
        if differs:
            given = self._give(replace(change, project=project.name))
            known.settle(serial or given)
        return differs

    async def forget(self, name: NormalizedName, filename: str | None, change: Change) -> int:
        known = self._known.get(name)
        if known is None:
            return 0
        if filename is None:
            del self._known[name]
        elif known.files.pop(filename, None) is None:
            return known.serial
        return known.settle(self._give(change))

    async def record(self, change: Change) -> int:
        return self._give(change)

    async def serial(self) -> int:
        return self._serial

    async def shown_serial(self) -> int:
        return max((known.serial for known in self._known.values()), default=0)

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        return list(islice((c for c in self._changes if c.serial > after), limit))

    async def prune(self, below: int, change: Change) -> None:
        old = [c for c in self._changes[1:] if c.serial <= below]
        if old and [c.action for c in old] != [change.action]:
            kept = replace(change, serial=old[-1].serial)
            self._changes[1 : 1 + len(old)] = [kept]

    async def clear(self, floor: int = 0) -> None:
        self._known.clear()
        self._changes.clear()
        self._serial = max(self._serial, floor)
        self._built = False
        self._cleared += 1
        self._builds.begin(self._cleared)

    async def built(self) -> bool:
        self._builds.begin(self._cleared)
        return self._built

    async def set_built(self) -> None:
        if self._builds.mark() not in (None, self._cleared):
            raise emptied()
        self._built = True

    def _give(self, change: Change) -> int:
        self._serial += 1
        self._changes.append(replace(change, serial=self._serial))
        return self._serial


def _facts(project: Project) -> Project:
    return replace(project, serial=0, files=())
