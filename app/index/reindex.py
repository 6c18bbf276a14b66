"""Bring the cache up to the journal, beside live traffic.

Every project is listed; what the cache does not know of it is read, folded and repaired in
the cache by itself. Newer events win, so a reindex never undoes what happens meanwhile, and
readers never see half a project.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from packaging.utils import NormalizedName

from app import errors
from app.abreast import abreast
from app.cache.base import Cache
from app.index import serials
from app.index.compare import Compared, Comparer, Looking, change
from app.index.progress import Progress, Report
from app.storage.base import Storage

BATCH = 500
"""Files brought into the cache at once, at the least."""
READERS = 64
"""Projects read at once; of their keys ``journal.IN_FLIGHT``."""
BEGIN = "begin"
"""The action of the first change of a cache."""


class Lost(errors.Unavailable):
    """Somebody else goes on with this run."""

    def __init__(self) -> None:
        super().__init__("Another process has taken over the reindex.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do.

    ``building``: the cache was not complete when it began. ``begun`` is the serial of the
    cache's first change, by which a cache that was emptied meanwhile is known. Of a cache
    that is ``empty`` beyond the project ``after``, nothing is asked there; what comes before
    was looked at by an earlier attempt: a build makes sure of it, a comparison does not.
    """

    building: bool
    begun: int = 0
    after: str = ""
    empty: bool = False
    looking: Looking = "at projects"


class Reindex:
    """One run; ``progress`` may be looked at meanwhile."""

    def __init__(
        self,
        storage: Storage,
        cache: Cache,
        plan: Plan,
        progress: Progress,
        *,
        go_on: Report = lambda progress: None,
    ) -> None:
        """``go_on`` is called after every batch, and may raise Lost."""
        self._cache = cache
        self._plan = plan
        self._go_on = go_on
        self._comparer = Comparer(storage, cache, progress)
        self._seen: set[NormalizedName] = set()
        self._expected: set[NormalizedName] = set()
        self.progress = progress

    async def run(self) -> None:
        """Compare everything and repair what differs; then the cache is complete.

        Raises errors.CacheUnavailable where the cache lost meanwhile what it was given.
        """
        batch: list[Compared] = []
        files = 0
        async with aclosing(abreast(self._comparisons(), READERS)) as projects:
            async for compared in projects:
                batch.append(compared)
                files += compared.files
                if files >= BATCH:
                    await self._bring(batch)
                    batch, files = [], 0
        await self._bring(batch)
        if not (self._plan.building and self._plan.empty):
            await self._drop_projects()
        if self._plan.building:
            await self._make_sure()
        if self._plan.building or await self._cache.built():
            await self._cache.set_built()

    async def _comparisons(self) -> AsyncIterator[Coroutine[Any, Any, Compared]]:
        """The comparison of every project of the journal, in the order of the keys."""
        async for chains in self._comparer.journal.chains():
            self._seen.add(chains.name)
            before = self._is_before(chains.name)
            if before and not self._plan.building:
                continue
            absent = self._plan.empty and not before
            # What an earlier attempt at a build brought is of this storage.
            looking = "at numbers" if before else self._plan.looking
            yield self._comparer.compare(chains, absent=absent, looking=looking)

    def _is_before(self, name: NormalizedName) -> bool:
        """Whether an earlier attempt came as far as this."""
        # As the keys are ordered, where a slash follows the name: "a-b" is before "a".
        return f"{name}/" <= f"{self._plan.after}/" if self._plan.after else False

    async def _bring(self, batch: list[Compared]) -> None:
        """What readers are shown, and the cursor, move on together."""
        if not batch:
            return
        await self._comparer.bring(batch)
        self._expected |= {one.name for one in batch if one.exists}
        fresh = [one for one in batch if not self._is_before(one.name)]
        self.progress.projects += sum(one.readable for one in fresh)
        self.progress.files += sum(one.files for one in fresh)
        if fresh:
            self.progress.cursor = fresh[-1].name
        self._go_on(self.progress)

    async def _drop_projects(self) -> None:
        """Forget the projects that the cache lists and the storage does not hold."""
        async for name in self._listed():
            if name not in self._seen:
                await self._comparer.drop(name, None)

    async def _make_sure(self) -> None:
        """See that the cache still holds what it was given: only then may it be complete."""
        async for name in self._listed():
            self._expected.discard(name)
        lost = [name for name in self._expected if await self._cache.outline(name) is None]
        if lost or await begun(self._cache) != self._plan.begun:
            raise errors.CacheUnavailable("The cache was emptied while it was being built.")

    async def _listed(self) -> AsyncIterator[NormalizedName]:
        after = ""
        while page := await self._cache.projects(after=after, limit=1000):
            for summary in page:
                yield summary.name
            after = page[-1].name


async def begun(cache: Cache) -> int | None:
    """The serial of the change that a cache began with; None where it has not begun."""
    first = await cache.changes(0, 1)
    return first[0].serial if first and first[0].action == BEGIN else None


async def begin(storage: Storage, cache: Cache) -> int:
    """Give a new cache serials above all that any former one gave out.

    The first change it records says so; whoever goes on with an interrupted build, or
    finds that somebody else wrote into the new cache first, can tell by it.
    """
    await cache.clear(await serials.reserve(storage))
    return await cache.record(change(BEGIN))
