"""Files that others put into the storage, or took from it, brought into the cache.

Notices say which keys were touched; what is there now is asked of the storage itself, so a
notice may come twice, late, in another order, or be a lie.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from packaging.utils import NormalizedName

from app import errors, names, unbroken
from app.cache.base import Cache
from app.index import adopting_names
from app.index.compare import Comparer
from app.index.journal import PROJECT, ROOT
from app.index.progress import Progress
from app.notices import bodies
from app.storage.base import Storage
from app.storage.place import Place

AT_ONCE = 8
"""Projects that are looked at together."""
FEW = 4
"""Keys of one project that the cache is asked for one by one."""
REMIND = 3600.0
"""Seconds between two lines in the log about files that nobody adopted."""

_EVENT = re.compile(rf"{ROOT}([^/]+)/([^/]+)/(\d{{10}})\.json\Z")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Heard:
    """Of keys that were told of: whose event the cache ``knew``, whose project was looked at
    (``read``), files of a former index (``unadopted``), and all others (``ignored``).

    Of projects: ``repaired`` and ``broken``; of what the cache held in vain: ``dropped``.
    """

    known: int = 0
    read: int = 0
    unadopted: int = 0
    ignored: int = 0
    repaired: int = 0
    dropped: int = 0
    broken: int = 0

    def add(self, more: Heard) -> None:
        """Count these too."""
        for name, count in asdict(more).items():
            setattr(self, name, getattr(self, name) + count)


@dataclass(frozen=True, slots=True)
class _Event:
    """A key of the journal; ``filename`` is None for a project's own."""

    filename: str | None
    sequence: int
    written: bool


class Notified:
    """Hears notices. ``total`` counts what this process heard.

    ``place`` is where the storage lies in its bucket; None: keys have no prefix.
    """

    def __init__(
        self,
        storage: Storage,
        cache: Cache,
        told: Callable[[NormalizedName], None],
        *,
        place: Place | None = None,
    ) -> None:
        self._storage = storage
        self._cache = cache
        self._told = told
        self._place = place
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._next: dict[NormalizedName, asyncio.Task[Progress]] = {}
        self._reminded = float("-inf")
        self.total = Heard()

    async def hear(self, body: bytes) -> tuple[Heard, str | None]:
        """Bring what a body tells of into the cache; also what is to be said back, if anything.

        Raises errors.Invalid for a body that says nothing, errors.Unavailable where it is to
        be told again: nothing can be brought into a cache that is not complete.
        """
        body_said = bodies.parse(body)
        heard = Heard()
        projects = self._sort(body_said.notices, heard)
        if projects:
            if not await self._cache.built():
                raise errors.IndexNotReady
            found = await asyncio.gather(
                *(self._project(name, events) for name, events in projects.items())
            )
            for one in found:
                heard.add(one)
        self.total.add(heard)
        self._remind(heard)
        return heard, body_said.handshake

    def _sort(
        self, notices: Iterable[bodies.Notice], heard: Heard
    ) -> dict[NormalizedName, set[_Event]]:
        """The events of every project that was told of; all other keys are counted."""
        projects: dict[NormalizedName, set[_Event]] = {}
        for notice in notices:
            key = self._ours(notice)
            match = _EVENT.match(key) if key else None
            if match and (name := _project_name(match[1])) and _is_chain(match[2]):
                filename = None if match[2] == PROJECT else match[2]
                event = _Event(filename, int(match[3]), bool(notice.written))
                projects.setdefault(name, set()).add(event)
            elif key and notice.written is not False and _is_unadopted(key):
                heard.unadopted += 1
            else:
                heard.ignored += 1
        return projects

    def _ours(self, notice: bodies.Notice) -> str | None:
        """The key as the storage knows it; None for one of elsewhere."""
        if self._place is None:
            return notice.key
        if notice.bucket not in (None, self._place.bucket):
            return None
        if not notice.key.startswith(self._place.prefix):
            return None
        return notice.key.removeprefix(self._place.prefix)

    async def _project(self, name: NormalizedName, events: set[_Event]) -> Heard:
        async with self._turns:
            known = len(events) <= FEW and await self._knows(name, events)
        if known:
            return Heard(known=len(events))
        # Whoever comes while it is read may know of more, and has it read once more: all of
        # them together.
        if (task := self._next.get(name)) is None:
            task = self._next[name] = unbroken.begun(self._repair(name))
            mine = True
        else:
            mine = False
        progress = await asyncio.shield(task)
        heard = Heard(read=len(events))
        if mine:
            heard.repaired, heard.dropped = progress.repaired, progress.dropped
            heard.broken = progress.broken
        return heard

    async def _knows(self, name: NormalizedName, events: set[_Event]) -> bool:
        """Whether the cache has all these events: mostly, they were our own."""
        for event in events:
            if not event.written:
                return False
            if event.filename is None:
                project = await self._cache.outline(name)
                sequence = project.sequence if project else 0
            else:
                file = await self._cache.file(name, event.filename)
                sequence = file.sequence if file else 0
            if sequence < event.sequence:
                return False
        return True

    async def _repair(self, name: NormalizedName) -> Progress:
        """Read a project from the storage, and repair it in the cache."""
        try:
            await self._turns.acquire()
        finally:
            del self._next[name]
        try:
            progress = Progress()
            comparer = Comparer(self._storage, self._cache, progress)
            found = False
            async for chains in comparer.journal.chains(name):
                found = True
                await comparer.bring([await comparer.compare(chains, looking="at files")])
            if not found and await self._cache.outline(name) is not None:
                await comparer.drop(name, None)
            if progress.repaired or progress.dropped:
                self._told(name)
            return progress
        finally:
            self._turns.release()

    def _remind(self, heard: Heard) -> None:
        now = time.monotonic()
        if heard.unadopted and now - self._reminded >= REMIND:
            self._reminded = now
            logger.warning(
                "the storage tells of %d files that this index did not write (%d in all): "
                "'pypicloud adopt' takes in what PyPICloud 1 left",
                heard.unadopted,
                self.total.unadopted,
            )


def _project_name(text: str) -> NormalizedName | None:
    try:
        name = names.normalize(text)
    except errors.InvalidName:
        return None
    return name if name == text else None


def _is_chain(text: str) -> bool:
    return text == PROJECT or names.is_filename(text)


def _is_unadopted(key: str) -> bool:
    filename = key.rpartition("/")[2]
    return not adopting_names.is_ours(key) and adopting_names.kind_of(filename) is not None
