"""Projects at hand: what the cache said of them, true until a change says otherwise."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import timedelta

from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache
from app.index.follow import Follower
from app.models import Project

PER_PROJECT = 1024
PER_FILE = 2048
"""Bytes, about, that a project and each of its files take."""


class Known:
    """Projects that were asked for, the least recently used ones going first.

    ``memory`` bounds them, in bytes. Names that the cache does not know are remembered too.
    While the changes cannot be followed everybody asks the cache; while that does not answer
    either, what is known to exist is served for ``stale`` longer. Absence never is.
    """

    def __init__(self, cache: Cache, follower: Follower, *, memory: int, stale: timedelta) -> None:
        self._cache = cache
        self._follower = follower
        self._memory = memory
        self._stale = stale
        self._used = 0
        self._built = False
        self._kept: OrderedDict[NormalizedName, Project | None] = OrderedDict()
        self._coming: dict[NormalizedName, asyncio.Task[Project | None]] = {}
        follower.tell(self.drop)

    @property
    def serves_stale(self) -> bool:
        """Whether what is known may still be served, though the cache cannot be asked."""
        age = self._follower.age
        return age is not None and age <= self._stale

    def holds(self, name: NormalizedName) -> bool:
        """Whether the name is known, as existing or not."""
        return name in self._kept

    async def built(self) -> bool:
        """What Cache.built answers, after whatever name it was that it did not know."""
        if not (self._built and self._follower.fresh):
            self._built = await self._cache.built()
            if not self._built:
                for name in [name for name, project in self._kept.items() if project is None]:
                    self.drop(name)
        return self._built

    async def project(self, name: NormalizedName) -> Project | None:
        """What Cache.project answers."""
        if self._at_hand(name):
            return self._kept[name]
        if (task := self._coming.get(name)) is None:
            task = self._coming[name] = asyncio.create_task(self._cache.project(name))
            task.add_done_callback(lambda done: self._arrived(name, done))
        try:
            return self._heard(await asyncio.shield(task))
        except errors.CacheUnavailable:
            return self._stale_one(name)

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        """What Cache.outline answers, perhaps with more files in it.

        A file that is not known is asked for: another process may have listed it a moment ago
        to the very client that asks for it now.
        """
        if self._at_hand(name):
            project = self._kept[name]
            if filename is None or (project is not None and project.find(filename) is not None):
                return project
        try:
            return self._heard(await self._cache.outline(name, filename))
        except errors.CacheUnavailable:
            return self._stale_one(name)

    def drop(self, name: NormalizedName | None) -> None:
        """A project changed, or (None) any may have.

        An answer under way may be older than the change: whoever waits for it gets it, nobody
        after them.
        """
        if name is None:
            self._kept.clear()
            self._coming.clear()
            self._used = 0
            self._built = False
        else:
            self._coming.pop(name, None)
            if name in self._kept:
                self._used -= _size(self._kept.pop(name))

    def _heard(self, project: Project | None) -> Project | None:
        """An answer of now: a cache that was emptied since it last said it was built knows none."""
        if project is None:
            self._built = False
        return project

    def _at_hand(self, name: NormalizedName) -> bool:
        if name not in self._kept or not self._follower.fresh:
            return False
        self._kept.move_to_end(name)
        return True

    def _stale_one(self, name: NormalizedName) -> Project:
        """To be called while errors.CacheUnavailable is handled, which it raises anew."""
        if (project := self._kept.get(name)) is None or not self.serves_stale:
            raise
        return project

    def _arrived(self, name: NormalizedName, task: asyncio.Task[Project | None]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if self._coming.get(name) is task:
            del self._coming[name]
            if not failed:
                self._keep(name, task.result())

    def _keep(self, name: NormalizedName, project: Project | None) -> None:
        if name in self._kept:
            self._used -= _size(self._kept.pop(name))
        self._kept[name] = project
        self._used += _size(project)
        while self._used > self._memory and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._used -= _size(dropped)


def _size(project: Project | None) -> int:
    return PER_PROJECT + PER_FILE * (len(project.files) if project else 0)
