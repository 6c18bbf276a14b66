"""A cache that is lost while the service runs comes back by itself, and frees no name meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache.redis import connect
from app.index import Index
from app.index.keep import keep
from app.storage.memory import connect as connect_storage
from tests.index.places import ALICE, Make
from tests.servers import redis
from tests.servers.redis import OwnRedis

POLL = timedelta(seconds=0.05)
DEMO = NormalizedName("demo-pkg")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis of the test's own."""
    with redis.own_redis(tmp_path) as found:
        yield found


async def test_an_emptied_redis_is_built_again(server: OwnRedis, make: Make) -> None:
    """FLUSHALL: within seconds everything is there again, and no name was ever unknown."""
    async with connect_storage("memory:", {}) as storage, connect(server.url, {}) as cache:
        index = Index(storage, cache, refresh=POLL)
        await index.reindex()
        await index.publish(make(), ALICE)
        async with keep(index, reconcile_every=timedelta(hours=1)):
            for turn in range(3):
                serial = await cache.serial()
                server.ask("FLUSHALL")
                assert await recovered(index, since=time.monotonic()) < 10
                assert await cache.serial() > serial
                await index.publish(make(version=f"2.{turn}"), ALICE)


async def test_a_restarted_redis_is_built_again(server: OwnRedis, make: Make) -> None:
    """Killed and started anew, it knows nothing; the service goes on without a restart."""
    async with connect_storage("memory:", {}) as storage, connect(server.url, {}) as cache:
        index = Index(storage, cache, refresh=POLL)
        await index.reindex()
        await index.publish(make(), ALICE)
        async with keep(index, reconcile_every=timedelta(hours=1)):
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(0.5)
            with pytest.raises(errors.CacheUnavailable):
                await cache.serial()
            await asyncio.to_thread(server.resume)
            assert await recovered(index, since=time.monotonic()) < 10


async def recovered(index: Index, *, since: float) -> float:
    """Ask for a name until it is known; it must not be unknown meanwhile. Seconds."""
    async with asyncio.timeout(20):
        while True:
            try:
                assert (await index.project(DEMO)).published
                if await index.ready() and [line.name for line in await index.projects()] == [DEMO]:
                    return time.monotonic() - since
            except errors.Unavailable:
                pass
            await asyncio.sleep(0.005)
