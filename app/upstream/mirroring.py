"""Keeping chosen projects whole: what a mirror holds is there when its upstreams are not.

Every file goes the way of any other: past ownership and rules, verified, kept once. So a run
that was interrupted goes on where it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from packaging.utils import NormalizedName

from app import errors, names
from app.index import Index
from app.models import Kind
from app.upstream.upstreams import Upstreams
from app.upstream.wanted import Wanted
from app.upstream.wishes import Choice, Wish, named, required


@dataclass(slots=True)
class Done:
    """What came of it; ``failed`` says of what, and why."""

    projects: int = 0
    kept: int = 0
    here: int = 0
    bytes: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)


class Mirroring:
    """One run. ``jobs`` files at once; ``told`` hears how far it is."""

    def __init__(
        self,
        upstreams: Upstreams,
        index: Index,
        choice: Choice,
        *,
        jobs: int = 4,
        told: Callable[[Done], None] = lambda done: None,
    ) -> None:
        self._upstreams, self._index, self._choice = upstreams, index, choice
        self._slots = asyncio.Semaphore(jobs)
        self._told = told
        self._names: set[str] = set()
        self.done = Done()

    async def run(self, wishes: Iterable[Wish], *, tree: bool) -> Done:
        """Fulfil the wishes; with their ``tree``, also what their releases need."""
        level = list(dict.fromkeys([one for wish in wishes for one in await self._named(wish)]))
        seen = set(level)
        pinned = {wish.name for wish in level if wish.pinned}
        while level:
            needed = await asyncio.gather(*(self._fulfil(wish, tree=tree) for wish in level))
            level = []
            for wish in (one for some in needed for one in some):
                if wish not in seen and wish.name not in pinned:
                    seen.add(wish)
                    level.append(wish)
        return self.done

    async def _named(self, wish: Wish) -> list[Wish]:
        """The wish, or one for every project that upstreams have by its pattern."""
        if "*" not in wish.name:
            return [wish]
        try:
            found = await self._upstreams.names()
        except errors.Unreachable as why:
            self.done.failed.append(f"{wish.name}: {why}")
            return []
        return [Wish(name=name) for name in sorted(found) if fnmatchcase(name, wish.name)]

    async def _fulfil(self, wish: Wish, *, tree: bool) -> set[Wish]:
        """Keep what is wished; what that needs."""
        try:
            name = named(wish)
            async with self._slots:
                relayed = await self._upstreams.project(name, newest=True)
        except errors.ProjectNotFound:
            return await self._ours(named(wish), wish, tree=tree)
        except errors.PypicloudError as why:
            self.done.failed.append(f"{wish.name}: {why}")
            return set()
        if wish.name not in self._names:
            self._names.add(wish.name)
            self.done.projects += 1
            self.done.refused += len(relayed.refused)
        files = self._choice.of(relayed.files, wish)
        if not files:
            self.done.failed.append(f"{wish.name}{wish.versions}: no file may be kept for it")
        held = await asyncio.gather(*(self._keep(file) for file in files))
        if not tree:
            return set()
        return {one for metadata in held for one in required(metadata, wish.extras)}

    async def _keep(self, file: Wanted) -> bytes:
        """Keep a file with its core metadata, which is returned; empty where there is none."""
        async with self._slots:
            try:
                if await self._upstreams.kept(file) is None:
                    self.done.bytes += (await self._upstreams.whole(file)).size
                    self.done.kept += 1
                else:
                    self.done.here += 1
                if file.entry.core_metadata is None and file.entry.kind is not Kind.WHEEL:
                    return b""
                return await self._upstreams.metadata(file)
            except errors.PypicloudError as why:
                self.done.failed.append(f"{file.entry.filename}: {why}")
                return b""
            finally:
                self._told(self.done)

    async def _ours(self, name: NormalizedName, wish: Wish, *, tree: bool) -> set[Wish]:
        """What our own release needs, which is here anyway."""
        try:
            project = await self._index.project(name)
        except errors.PypicloudError as why:
            self.done.failed.append(f"{name}: {why}")
            return set()
        needed: set[Wish] = set()
        for file in project.published if tree else ():
            version = names.parse_version(file.version)
            meant = version is not None and wish.versions.contains(version, prereleases=True)
            if meant and file.metadata_sha256 is not None:
                needed |= set(required(await self._index.metadata(file), wish.extras))
        return needed
