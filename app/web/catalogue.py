"""The list of projects, kept between requests as long as its serial stays the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.index import Index
from app.models import ProjectSummary
from app.web.facets import Facets
from app.web.ranking import Corpus, Match

MANY = 500
"""From so many projects on the work is done in a thread: it would hold up the event loop."""


class Catalogue:
    """Searches the projects of an index, all of them; whoever asks filters by rights.

    ``facets`` is what their newest releases say.

    Methods raise errors.IndexNotReady and errors.CacheUnavailable.
    """

    def __init__(self, index: Index) -> None:
        self.facets = Facets(index)
        self._index = index
        self._serial = -1
        self._corpus = Corpus(())
        self._newest: Sequence[ProjectSummary] = ()
        self._lock = asyncio.Lock()

    async def newest(self) -> Sequence[ProjectSummary]:
        """The projects, the one with the newest release first."""
        await self._current()
        return self._newest

    async def search(self, query: str) -> Sequence[Match]:
        """Those that match, best first; for an empty query all, by name."""
        corpus = await self._current()
        if len(corpus.summaries) < MANY:
            return corpus.search(query)
        return await asyncio.to_thread(corpus.search, query)

    async def _current(self) -> Corpus:
        """A page of ours may be asked for by many at once: the list is prepared once."""
        async with self._lock:
            serial = await self._index.shown_serial()
            if serial != self._serial or not self._index.follower.fresh:
                listing = await self._index.listing()
                if listing.serial != self._serial:
                    self._corpus, self._newest = await asyncio.to_thread(_made, listing.projects)
                    self._serial = listing.serial
            return self._corpus


def _made(projects: Sequence[ProjectSummary]) -> tuple[Corpus, Sequence[ProjectSummary]]:
    return Corpus(projects), sorted(projects, key=lambda one: one.updated, reverse=True)
