"""The list of all projects, as it was last read: what the root page shows and searches look at.

It is long, and little of it changes at a time: what the changes name is read anew, the rest
stays as it is.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from packaging.utils import NormalizedName

from app import errors
from app.abreast import abreast
from app.cache.base import Cache, Query
from app.cache.match import matching
from app.index.follow import Follower
from app.index.history import PRUNED
from app.index.known import Known
from app.index.reindex import BEGIN
from app.models import ProjectSummary

FEW = 50
"""So many changes are read by themselves; beyond them the list is read whole."""
AT_ONCE = 8
BRIEF = 500
"""So many projects are looked through on the event loop; more in a thread."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The projects by name; nothing as old as ``serial`` is missing, newer ones may be there.

    ``read`` is the serial of a change that was made before it was read.
    """

    serial: int
    projects: Sequence[ProjectSummary]
    read: int


class Listed:
    """Asks for the list whenever somebody wants it; the last answer is for when there is none."""

    def __init__(self, cache: Cache, known: Known, follower: Follower) -> None:
        self._cache = cache
        self._known = known
        self._last: Listing | None = None
        self._doubts = 0
        self._settled = 0
        follower.tell(self._changed)

    async def now(self) -> Listing:
        """The list, whole; see Known for what happens while the cache cannot be asked."""
        try:
            doubts, listing = await self._known.complete(self._read)
        except errors.CacheUnavailable:
            if self._last is None or not self._known.serves_stale:
                raise
            return self._last
        if self._last is None or (doubts, listing.read) >= (self._settled, self._last.read):
            self._last, self._settled = listing, doubts
        return listing

    async def search(self, query: Query, after: str, limit: int | None) -> Sequence[ProjectSummary]:
        """What Cache.search answers, from the list where the cache has no index to search in."""
        if self._cache.indexed or not (query.names or query.summaries):
            ask = partial(self._cache.search, query, after=after, limit=limit)
            return await self._known.complete(ask)
        listing = await self.now()
        if len(listing.projects) <= BRIEF:
            return found(listing.projects, query, after, limit)
        return await asyncio.to_thread(found, listing.projects, query, after, limit)

    def _changed(self, name: NormalizedName | None, _: int) -> None:
        if name is None:  # any may have, also what was read before
            self._doubts += 1

    async def _read(self) -> tuple[int, Listing]:
        """The list, and how much was in doubt when its reading began."""
        doubts, last = self._doubts, self._last
        shown, newest = await asyncio.gather(self._cache.shown_serial(), self._cache.serial())
        if last is not None and self._settled == doubts:
            amended = await self._amended(last, shown, newest)
            if amended is not None:
                return doubts, amended
        return doubts, Listing(shown, await self._cache.projects(), newest)

    async def _amended(self, last: Listing, shown: int, newest: int) -> Listing | None:
        """The last list with what changed since; None where that is too much, or unknown."""
        if newest == last.read:
            return replace(last, serial=shown) if last.serial <= shown <= last.read else None
        changes = await self._cache.changes(last.read, FEW + 1)
        reached = changes[-1].serial if changes else last.read
        if len(changes) > FEW or reached < newest or shown < last.serial:
            return None
        if any(change.action in (BEGIN, PRUNED) for change in changes):
            return None
        names = sorted({change.project for change in changes if change.project is not None})
        projects = list(last.projects)
        lines = [line async for line in abreast(map(self._line, names), AT_ONCE)]
        for name, line in zip(names, lines, strict=True):
            at = bisect_left(projects, name, key=lambda one: one.name)
            there = at < len(projects) and projects[at].name == name
            projects[at : at + there] = [] if line is None else [line]
        return Listing(shown, projects, reached)

    async def _line(self, name: NormalizedName) -> ProjectSummary | None:
        """The project as the list has it; None where it is not there."""
        before = f"{name[:-1]}{chr(ord(name[-1]) - 1)}~"  # names hold nothing that is greater
        found = await self._cache.projects(after=before, limit=1)
        return found[0] if found and found[0].name == name else None


def found(
    projects: Sequence[ProjectSummary], query: Query, after: str, limit: int | None
) -> Sequence[ProjectSummary]:
    """What Cache.search answers, from all projects by name."""
    begin = bisect_right(projects, after, key=lambda one: one.name)
    return list(islice(filter(matching(query), islice(projects, begin, None)), limit))
