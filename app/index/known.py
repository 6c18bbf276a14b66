"""Projects at hand: what the cache said of them, true until a change says otherwise."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from packaging.utils import NormalizedName

from app import errors, unbroken
from app.cache.base import Cache
from app.index.follow import SILENCE, Follower
from app.models import Project

T = TypeVar("T")

_SILENT = "The cache does not answer."

PER_PROJECT = 1024
PER_FILE = 2048
"""Bytes, about, that a project and each of its files take."""


class Known:
    """Projects that were asked for, the least recently used ones going first.

    ``memory`` bounds them, in bytes. Names that the cache does not know are remembered too.
    While the changes cannot be followed everybody asks the cache; while that does not answer
    either, what is known to exist is served for ``stale`` longer. Absence never is.

    Nothing is called absent by one answer: the cache may have been emptied before it, and be
    complete again after it. Methods raise errors.CacheUnavailable, and errors.IndexNotReady
    where only a complete cache could tell.
    """

    def __init__(self, cache: Cache, follower: Follower, *, memory: int, stale: timedelta) -> None:
        self._cache = cache
        self._follower = follower
        self._memory = memory
        self._stale = stale
        self._used = 0
        self._kept: OrderedDict[NormalizedName, Project | None] = OrderedDict()
        self._coming: dict[NormalizedName, asyncio.Task[Project | None]] = {}
        self._proving: dict[NormalizedName, object] = {}
        follower.tell(self._changed)

    @property
    def serves_stale(self) -> bool:
        """Whether what is known may still be served, though the cache cannot be asked."""
        age = self._follower.age
        return age is not None and age <= self._stale

    def holds(self, name: NormalizedName) -> bool:
        """Whether the name is known, as existing or not."""
        return name in self._kept

    async def require_complete(self) -> None:
        """Return if the cache was completely built, and has lost nothing since that we saw."""
        await self._follower.refresh()
        if self._follower.lost or not await self._cache.built():
            self._forget_absences()
            raise errors.IndexNotReady

    def _forget_absences(self) -> None:
        for name in [name for name, project in self._kept.items() if project is None]:
            self.drop(name)

    async def complete(self, ask: Callable[[], Awaitable[T]]) -> T:
        """An answer given between two moments at which the cache was complete.

        Only such a one may be taken for all there is.
        """
        await self.require_complete()
        answer = await ask()
        await self.require_complete()
        return answer

    async def project(self, name: NormalizedName) -> Project | None:
        """The project; None where there is certainly none of this name."""
        if self._at_hand(name):
            return self._kept[name]
        try:
            project = await self._soon(name, lambda: self._asked(name))
        except errors.CacheUnavailable:
            return self._stale_one(name)
        return project if project and project.exists else await self._certain(name)

    async def filled(self, name: NormalizedName, generation: str) -> bool:
        """Whether a file of this generation is known: a claim may have got no further."""
        project = await self.project(name)
        return project is not None and project.exists and project.generation == generation

    async def present(self, name: NormalizedName) -> Project | None:
        """The same as of now, whatever is at hand."""
        self._coming.pop(name, None)
        project = await self._asked(name)
        return project if project and project.exists else await self._certain(name)

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
            return await self._soon(name, lambda: self.outline_now(name, filename))
        except errors.CacheUnavailable:
            return self._stale_one(name)

    async def _soon(self, name: NormalizedName, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the cache answers; where something is at hand, not after a long silence.

        Raises errors.CacheUnavailable then: a client gives up sooner than a database that
        hangs. The question goes on, for those who wait for it.
        """
        if self._kept.get(name) is None or not self.serves_stale:
            return await ask()
        if self._follower.silent:
            raise errors.CacheUnavailable(_SILENT)
        asking = unbroken.begun(ask())
        await asyncio.wait({asking}, timeout=SILENCE)
        if not asking.done():
            raise errors.CacheUnavailable(_SILENT)
        return await asking

    async def outline_now(self, name: NormalizedName, filename: str | None) -> Project | None:
        """The same as of now; without the file, or None, only where that is certain.

        Now None is kept as well, unless the project changed meanwhile: then the next one asks
        anew.
        """
        await self._follower.refresh()
        sound = not self._follower.lost
        mine = self._proving[name] = object()
        try:
            project = await self._cache.certain(name, filename)
            if project is None or (filename is not None and not project.files):
                await self._follower.refresh()
                if self._follower.lost or not sound:
                    raise errors.IndexNotReady
            if project is None and self._proving.get(name) is mine:
                self._keep(name, None)
        except errors.IndexNotReady:
            self._forget_absences()
            raise
        finally:
            if self._proving.get(name) is mine:
                del self._proving[name]
        return project

    def _changed(self, name: NormalizedName | None, serial: int) -> None:
        """What shows the change already is kept, such as what this process wrote itself."""
        kept = None if name is None else self._kept.get(name)
        if name is not None and kept is not None and kept.serial >= serial:
            self._coming.pop(name, None)
        else:
            self.drop(name)

    def drop(self, name: NormalizedName | None) -> None:
        """A project changed, or (None) any may have.

        An answer under way may be older than the change: whoever waits for it gets it, nobody
        after them.
        """
        if name is None:
            self._kept.clear()
            self._coming.clear()
            self._proving.clear()
            self._used = 0
        else:
            self._coming.pop(name, None)
            self._proving.pop(name, None)
            if name in self._kept:
                self._used -= _size(self._kept.pop(name))

    async def _asked(self, name: NormalizedName) -> Project | None:
        """What Cache.project answers, once for all who wait; kept where it is there."""
        if (task := self._coming.get(name)) is None:
            task = self._coming[name] = asyncio.create_task(self._cache.project(name))
            task.add_done_callback(lambda done: self._arrived(name, done))
        return await asyncio.shield(task)

    async def _certain(self, name: NormalizedName) -> Project | None:
        """The same of a name that was not there, or deleted; a new one has been claimed since."""
        project = await self.outline_now(name, None)
        return project if project is None else await self._asked(name)

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
            if not failed and (project := task.result()) is not None:
                self._keep(name, project)

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
