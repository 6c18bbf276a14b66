"""Reindexing, one replica at a time: who comes second watches, and goes on where one dies.

Each cache has a lease of its own in the storage, named by the serial of the change it began
with. A cache that has not begun is begun by the holder of the lease ``begin``, which all
caches of a storage share for that moment.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from ulid import ULID

from app import errors, unbroken
from app.cache.base import Cache
from app.index import holder as holders
from app.index import lease as leases
from app.index.compare import Looking
from app.index.holder import Holder
from app.index.lease import Held, Lease, Pace, Record, Seen, Watch
from app.index.progress import IDLE, Progress, Report, State
from app.index.reindex import Lost, Plan, Reindex, begin, begun
from app.models import Actor
from app.storage.base import Storage

TASK = "reindex"
RESUMED = timedelta(hours=1)
"""A comparison that ended too early is gone on with for so long; then it begins anew."""
PARTING = 2.0
"""Seconds for saying that a run is interrupted, while its process ends."""

Wanted = Literal["run", "build", "attend"]
"""``run``: one, or what is left of the one under way. ``build``: one while the cache is not
complete. ``attend``: nothing but what is left of one under way."""

logger = logging.getLogger(__name__)


class Flight:
    """What one process knows and does of reindexing; one thing at a time."""

    def __init__(self, storage: Storage, cache: Cache, pace: Pace) -> None:
        self._storage = storage
        self._cache = cache
        self._pace = pace
        self._me: Holder | None = None
        self._cleared: int | None = None
        self._wanted: Wanted = "attend"
        self._by = Actor(kind="system", id="reindex")
        self._reports: list[Report] = []
        self._task: asyncio.Task[Progress] | None = None
        self._holding = False
        self.progress = IDLE
        """Of the latest run that this process did or watched."""

    async def latest(self) -> Progress:
        """The latest run of this cache, on whatever replica; IDLE where there never was one."""
        if self._holding:
            return self.progress
        seen = await self._lease(await begun(self._cache) or 0).newest()
        return seen.record.progress if seen and seen.record else IDLE

    def want(
        self, wanted: Wanted, by: Actor, report: Report | None = None
    ) -> asyncio.Task[Progress]:
        """Have done what is wanted, here or elsewhere; the task that sees to it."""
        if self._task is None or self._task.done():
            self._wanted, self._by, self._reports = wanted, by, []
            self._task = unbroken.begun(self._run())
        elif wanted == "run" and self._wanted != "run":
            self._wanted, self._by = wanted, by
        if report is not None:
            self._reports.append(report)
        return self._task

    async def stop(self) -> None:
        """End what goes on in this process; others go on with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> Progress:
        watch, beginning = Watch(self._pace.life), Watch(self._pace.life)
        joined = ""
        while True:
            # Redis wants the question, and the saying so in the end, to be of one task.
            building = not await self._cache.built()
            if (self._wanted, building) in (("build", False), ("attend", True)):
                return self.progress if joined else IDLE
            first = await self._begun(building, beginning)
            if first is None:
                await asyncio.sleep(self._pace.look / 4)
                continue
            lease = self._lease(first)
            seen = await lease.newest()
            if not await watch.is_over(seen):
                joined = self._watching(seen)
                await asyncio.sleep(self._pace.look)
                continue
            # It may have become complete between our two questions.
            if _is_done(seen, joined) and (not building or await self._cache.built()):
                self._watching(seen)
                return self.progress
            if self._wanted == "attend" and not joined and not _is_left(seen):
                return IDLE
            if await self._hold(lease, seen, Plan(building=building, begun=first)):
                return self.progress

    async def _begun(self, building: bool, watch: Watch) -> int | None:
        """The serial that the cache began with; None while somebody else begins it."""
        found = await begun(self._cache)
        if found is not None or not building:
            return found or 0
        lease = Lease(self._storage, "begin")
        seen = await lease.newest()
        if not await watch.is_over(seen):
            return None
        held = await lease.take(seen, Record(await self._introduced(), Progress()))
        if held is None:
            return None
        async with held.beating(self._pace.beat):
            # Another may have begun it between our question and our turn.
            found = await begun(self._cache)
            if found is None:
                found = self._cleared = await begin(self._storage, self._cache)
        held.progress.running, held.progress.state = False, "done"
        await held.write()
        return found

    async def _hold(self, lease: Lease, seen: Seen | None, plan: Plan) -> bool:
        """Run, if the lease can be had; False where it was another's, or became so."""
        me = await self._introduced()
        progress = _left(seen, plan) or self._new(plan)
        self._cleared = None
        progress.holder = me.name
        held = await lease.take(seen, Record(me, progress))
        if held is None:
            return False
        if progress.cursor:
            logger.info("going on with a reindex after %s", progress.cursor)
        self.progress, self._holding = progress, True
        try:
            async with held.beating(self._pace.beat):
                await self._reindex(replace(plan, after=progress.cursor), held)
        except Lost:
            return False
        except asyncio.CancelledError:
            person = self._by.kind == "operator"
            await self._ended(held, "stopped" if person else "interrupted")
            raise
        except Exception as why:
            ours = isinstance(why, errors.PypicloudError)
            progress.reason = str(why) if ours else type(why).__name__
            await self._ended(held, "failed")
            raise
        else:
            await self._ended(held, "done", sweeping=_scope(plan.begun))
            return True
        finally:
            self._holding = False

    def _new(self, plan: Plan) -> Progress:
        """A run from the beginning."""
        return Progress(
            run=str(ULID()),
            building=plan.building,
            empty=plan.building and plan.begun == self._cleared,
            by=f"{self._by.kind}:{self._by.id}",
            since=_now(),
        )

    async def _reindex(self, plan: Plan, held: Held) -> None:
        def go_on(progress: Progress) -> None:
            if held.lost:
                raise Lost
            self._say()

        # Whoever asks for one wants to be sure; the daily one is to be cheap.
        by_system = held.progress.by.startswith("system:")
        looking: Looking = "at projects" if by_system else "at files"
        plan = replace(plan, empty=held.progress.empty, looking=looking)
        await Reindex(self._storage, self._cache, plan, held.progress, go_on=go_on).run()

    async def _ended(self, held: Held, state: State, *, sweeping: str | None = None) -> None:
        """Say so as far as possible; whoever watches finds out anyway."""
        held.progress.running, held.progress.state = False, state
        self._say()
        try:
            async with asyncio.timeout(PARTING):
                await held.write()
                if sweeping is not None:
                    await leases.sweep(self._storage, TASK, but=sweeping)
        except (errors.StorageUnavailable, TimeoutError) as why:
            logger.warning("nobody could be told that a reindex has ended: %s", why)

    async def _introduced(self) -> Holder:
        if self._me is None:
            self._me = await asyncio.to_thread(holders.introduce)
        return self._me

    def _watching(self, seen: Seen | None) -> str:
        """Show what another does; the name of its run."""
        if seen is None or seen.record is None:
            return ""
        self.progress = seen.record.progress
        self._say()
        return self.progress.run

    def _say(self) -> None:
        for report in self._reports:
            report(self.progress)

    def _lease(self, first: int) -> Lease:
        return Lease(self._storage, f"{TASK}/{_scope(first)}")


def _scope(first: int) -> str:
    return f"{first:016d}"


def _now() -> datetime:
    return datetime.now(UTC)


def _is_done(seen: Seen | None, joined: str) -> bool:
    """Whether the run that was watched has come to its end."""
    if not joined or seen is None or seen.record is None:
        return False
    return seen.record.progress.state == "done" and seen.record.progress.run == joined


def _is_left(seen: Seen | None) -> bool:
    """Whether a run ended too early, without its own fault, and not long ago."""
    if seen is None or seen.record is None:
        return False
    progress = seen.record.progress
    return progress.state in ("running", "interrupted") and _is_recent(progress)


def _is_recent(progress: Progress) -> bool:
    return progress.updated is not None and abs(_now() - progress.updated) < RESUMED


def _left(seen: Seen | None, plan: Plan) -> Progress | None:
    """The run that ended too early, to be gone on with; None: begin a new one."""
    if seen is None or seen.record is None:
        return None
    left = seen.record.progress
    if left.state == "done" or left.building != plan.building or not left.cursor:
        return None
    if not plan.building and (left.state == "stopped" or not _is_recent(left)):
        return None
    return replace(left, running=True, state="running", reason="")
