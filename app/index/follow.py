"""Following the changes that other processes make.

Whoever keeps something that the cache said before registers what is to be told; each poll
reads what changed since the last one. As long as polls succeed, what was kept is as true as
one poll ago.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta

from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache
from app.index.reindex import BEGIN

PAGE = 1000
FAR = 20_000
"""So many changes behind, it is cheaper to forget everything than to read them."""

logger = logging.getLogger(__name__)

Told = Callable[[NormalizedName | None], None]
"""Called with the name of a project that changed, or with None where anything may have."""


class Follower:
    """Polls the changes of a cache; ``fresh`` says whether what was kept can be trusted."""

    def __init__(self, cache: Cache, *, every: timedelta) -> None:
        self._cache = cache
        self._every = every.total_seconds()
        self._listening: list[Told] = []
        self._seen: int | None = None
        self._polled: float | None = None

    def tell(self, told: Told) -> None:
        """Register what is to be told of every change."""
        self._listening.append(told)

    @property
    def age(self) -> timedelta | None:
        """How long ago the changes were last read; None where they never were."""
        return None if self._polled is None else timedelta(seconds=_now() - self._polled)

    @property
    def fresh(self) -> bool:
        """Whether the polls keep their pace: one may come late, two may not."""
        return self._polled is not None and _now() - self._polled <= 2 * self._every

    async def run(self) -> None:
        """Poll until cancelled; a cache that does not answer is asked again."""
        failing = False
        while True:
            try:
                await self.poll()
                failing = False
            except errors.PypicloudError as why:
                if not failing:
                    logger.warning("the changes cannot be followed: %s", why)
                failing = True
            except Exception:  # a task that ends leaves pages that nobody drops
                logger.exception("the changes cannot be followed")
            await asyncio.sleep(self._every)

    async def poll(self) -> None:
        """Read what changed since the last time, and tell of it."""
        begun = _now()
        serial = await self._cache.serial()
        if self._seen is None or not 0 <= serial - self._seen <= FAR:
            # The first poll; or a cache that lost its memory, or ran far ahead.
            self._announce(None)
            self._seen = serial
        while self._seen < serial:
            page = await self._cache.changes(self._seen, PAGE)
            for change in page:
                if change.action == BEGIN:
                    self._announce(None)
                elif change.project is not None:
                    self._announce(change.project)
            if not page:
                self._announce(None)
            self._seen = page[-1].serial if page else serial
        self._polled = begun

    def _announce(self, name: NormalizedName | None) -> None:
        for told in self._listening:
            told(name)


def _now() -> float:
    return time.monotonic()
