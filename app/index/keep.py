"""What a running service does beside answering: build, follow, reconcile, collect, note serials."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from app import errors
from app.index import Index

COLLECT_EVERY = timedelta(hours=24)
LOOK_EVERY = timedelta(seconds=2)
"""How long a cache that has lost its memory goes unnoticed, at most; one question each time."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def keep(index: Index, *, reconcile_every: timedelta) -> AsyncIterator[None]:
    """Keep an index while the block runs.

    A cache that was never completely built, or lost its memory since, is built in the
    background: readers are told that the index is not ready until then.
    """
    tasks = [
        asyncio.create_task(_build(index)),
        asyncio.create_task(_every(reconcile_every, index.reconcile)),
        asyncio.create_task(_every(COLLECT_EVERY, index.collect, first=COLLECT_EVERY)),
        asyncio.create_task(index.notes.run()),
        asyncio.create_task(index.follower.run()),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await index.notes.flush()


async def _build(index: Index) -> None:
    failing = ""
    while True:
        try:
            if not await index.ready():
                await index.reindex()
            failing = ""
        except errors.PypicloudError as why:
            if str(why) != failing:
                logger.error("the index cannot be built: %s", why)
            failing = str(why)
        except Exception:  # a task that ends leaves an index that nobody builds
            logger.exception("the index cannot be built")
        await asyncio.sleep(LOOK_EVERY.total_seconds())


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
