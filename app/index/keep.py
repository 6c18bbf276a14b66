"""What a running service does beside answering: build, follow, reconcile, collect, prune, note."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from app import errors
from app.index import Index
from app.index.adopting_glance import told
from app.index.collect import Collected
from app.index.flight import Wanted
from app.index.history import PRUNE_EVERY, PRUNE_FIRST
from app.index.progress import Progress
from app.models import Actor

COLLECT_EVERY = timedelta(hours=24)
LOOKS = 8
"""How often within the interval of reindexing it is looked whether one is due."""
SCHEDULE = Actor(kind="system", id="schedule")
LOOK_EVERY = timedelta(seconds=2)
"""How long a cache that has lost its memory goes unnoticed, at most; one question each time."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def keep(
    index: Index,
    *,
    reconcile_every: timedelta,
    reindex_every: timedelta | None = None,
    changes_kept: int = 100_000,
    collect_every: timedelta = COLLECT_EVERY,
    heard: Callable[[Collected], Awaitable[None]] | None = None,
) -> AsyncIterator[None]:
    """Keep an index while the block runs.

    A cache that was never completely built, or lost its memory since, all or the last of it,
    is built in the background: readers are told that the index is not ready until then. Of all
    replicas one builds; the others watch it, as they do any reindex, and go on with it where it
    dies. ``heard`` is told what was removed for good.
    """
    pruning = partial(index.history.prune, changes_kept)

    async def collect() -> None:
        collected = await index.collect()
        if heard is not None and (collected.purged or collected.orphans):
            await heard(collected)

    tasks = [
        asyncio.create_task(_build(index)),
        asyncio.create_task(_look_for_unadopted(index)),
        asyncio.create_task(_every(reconcile_every, index.reconcile)),
        asyncio.create_task(_every(collect_every, collect, first=collect_every)),
        asyncio.create_task(_every(PRUNE_EVERY, pruning, first=PRUNE_FIRST)),
        asyncio.create_task(index.notes.run()),
        asyncio.create_task(index.follower.run()),
        asyncio.create_task(_every(reconcile_every, partial(_reindex, index, "attend"))),
    ]
    if reindex_every is not None:
        tasks.append(asyncio.create_task(_from_time_to_time(index, reindex_every)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await index.stop()
        await index.notes.flush()


async def _reindex(index: Index, wanted: Wanted) -> None:
    # The run may be another's as well: whoever waits is not to end it.
    await asyncio.shield(index.reindex(wanted=wanted))


async def _from_time_to_time(index: Index, every: timedelta) -> None:
    """A whole reindex when the last one is so long ago, by one replica for all."""
    while True:
        # By chance, so that not all look at once.
        await asyncio.sleep(every.total_seconds() / LOOKS * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            last = await index.reindexing()
            if not last.running and not _is_recent(last, every):
                await asyncio.shield(index.reindex(by=SCHEDULE))
        except errors.PypicloudError as why:
            logger.warning("the reindex will be tried again: %s", why)
        except Exception:  # a task that ends reindexes no more
            logger.exception("the reindex will be tried again")


def _is_recent(last: Progress, every: timedelta) -> bool:
    if last.state != "done" or last.updated is None:
        return False
    return abs(datetime.now(UTC) - last.updated) < every


async def _build(index: Index) -> None:
    failing = ""
    while True:
        try:
            if not await index.ready():
                # A cache that lost the last of what it had still calls itself complete.
                wanted: Wanted = "run" if index.follower.lost else "build"
                with index.follower.making_good():
                    await _reindex(index, wanted)
            failing = ""
        except errors.PypicloudError as why:
            if str(why) != failing:
                logger.error("the index cannot be built: %s", why)
            failing = str(why)
        except Exception:  # a task that ends leaves an index that nobody builds
            logger.exception("the index cannot be built")
        await asyncio.sleep(LOOK_EVERY.total_seconds())


async def _look_for_unadopted(index: Index) -> None:
    """Say once that files wait for their adoption: to whoever looks, the index seems empty."""
    try:
        if (key := await index.unadopted()) is not None:
            logger.warning("%s", told(key))
    except errors.PypicloudError as why:
        logger.warning("whether files of PyPICloud 1 are there was not found out: %s", why)
    except Exception:  # of a task that ends nobody hears
        logger.exception("whether files of PyPICloud 1 are there was not found out")


async def _every(
    pause: timedelta, work: Callable[[], Awaitable[object]], *, first: timedelta = timedelta(0)
) -> None:
    await asyncio.sleep(first.total_seconds())
    while True:
        try:
            await work()
        except errors.PypicloudError as why:
            logger.warning("will be tried again: %s", why)
        except Exception:  # a task that ends heals nothing any more
            logger.exception("will be tried again")
        await asyncio.sleep(pause.total_seconds())
