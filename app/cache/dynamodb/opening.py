"""Opening the cache in its table, and keeping it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from app import errors
from app.cache.dynamodb.cache import DynamoDBCache
from app.cache.dynamodb.failures import FAILURES
from app.dynamodb.opening import Use, opened
from app.dynamodb.options import DynamoDBOptions

KEEP_EVERY = 3600
"""Seconds."""
USE = Use(
    what="the cache",
    suffix="cache",
    rights="dynamodb:DescribeTable, CreateTable, GetItem, Query, BatchGetItem, PutItem, DeleteItem "
    "and BatchWriteItem on it",
    failures=FAILURES,
    anew=True,
)

logger = logging.getLogger(__name__)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[DynamoDBCache]:
    """The cache in ``dynamodb://REGION/TABLE-PREFIX``; options are those of DynamoDBOptions.

    The table is TABLE-PREFIX with ``-cache`` behind it; where there is none it is made. Raises
    errors.Misconfigured where it cannot work, errors.CacheUnavailable where it does not answer.
    """
    async with opened(url, DynamoDBOptions.of(options), USE) as table:
        cache = DynamoDBCache(table)
        await cache.enter()
        keeping = [asyncio.create_task(_kept(cache)), asyncio.create_task(_swept(cache))]
        try:
            yield cache
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await cache.settled()


async def _kept(cache: DynamoDBCache) -> None:
    while True:
        await asyncio.sleep(KEEP_EVERY)
        try:
            await cache.keep()
        except errors.CacheUnavailable as why:
            logger.warning("the cache will be kept later: %s", why)


async def _swept(cache: DynamoDBCache) -> None:
    while True:
        await cache.swept.wait()
        cache.swept.clear()
        try:
            await cache.sweep()
        except errors.CacheUnavailable as why:
            logger.warning("the table will be swept later: %s", why)
        await asyncio.sleep(1)
