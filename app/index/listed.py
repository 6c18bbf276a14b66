"""The list of all projects, as it was last read: what the root page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app import errors
from app.cache.base import Cache
from app.index.known import Known
from app.models import ProjectSummary


@dataclass(frozen=True, slots=True)
class Listing:
    """The projects by name; nothing as old as ``serial`` is missing, newer ones may be there."""

    serial: int
    projects: Sequence[ProjectSummary]


class Listed:
    """Asks for the list whenever somebody wants it; the last answer is for when there is none."""

    def __init__(self, cache: Cache, known: Known) -> None:
        self._cache = cache
        self._known = known
        self._last: Listing | None = None

    async def now(self) -> Listing:
        """The list, whole; see Known for what happens while the cache cannot be asked."""
        try:
            listing = await self._known.complete(self._read)
        except errors.CacheUnavailable:
            if self._last is None or not self._known.serves_stale:
                raise
            return self._last
        self._last = listing
        return listing

    async def _read(self) -> Listing:
        serial = await self._cache.shown_serial()
        return Listing(serial, await self._cache.projects())
