"""What changed, as far back as the cache lists it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from app.cache.base import Cache
from app.index.compare import change
from app.models import Change

PRUNED = "pruned"
"""The action of what stands for changes that are no longer listed."""
PRUNE_FIRST, PRUNE_EVERY = timedelta(minutes=5), timedelta(hours=1)
"""How long after a start old changes go, and how often then."""


class History:
    """The changes of a cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        """What changed after a serial; PRUNED among it says that some is no longer known.

        Then any project may have changed whose own serial is above ``after``.
        """
        return await self._cache.changes(after, limit)

    async def serial(self) -> int:
        """The serial of the newest change."""
        return await self._cache.serial()

    async def prune(self, kept: int) -> None:
        """Have no more than the last ``kept`` serials listed."""
        below = await self._cache.serial() - kept
        if below > 0:
            await self._cache.prune(below, change(PRUNED))
