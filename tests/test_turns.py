"""Pools say how many of theirs are taken, and how many wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.access.pool import HashPool
from app.cache.sql import connect
from app.sql.database import turn
from app.sqlite import READERS
from app.turns import Pool, Turns


def seen(pool: Pool) -> tuple[int, int, int]:
    """Size, busy and waiting."""
    return pool.size, pool.busy, pool.waiting


async def test_who_has_a_turn_and_who_waits_is_counted() -> None:
    """Whoever gives up waiting, or fails within a turn, is counted no more."""
    turns = Turns(1)
    done = asyncio.Event()

    async def work() -> None:
        async with turn(turns):
            await done.wait()

    tasks = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0)
    assert seen(turns) == (1, 1, 2)
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    assert seen(turns) == (1, 1, 1)
    done.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert seen(turns) == (1, 0, 0)
    with pytest.raises(ZeroDivisionError):
        async with turn(turns):
            raise ZeroDivisionError
    assert seen(turns) == (1, 0, 0)


async def test_the_database_of_a_cache_says_who_reads_and_who_writes(tmp_path: Path) -> None:
    """While a transaction runs its one place is taken."""
    async with connect(f"sqlite+aiosqlite:///{tmp_path}/cache.db", {}) as cache:
        assert {name: seen(pool) for name, pool in cache.pools.items()} == {
            "read": (READERS, 0, 0),
            "write": (1, 0, 0),
        }
        clearing = asyncio.create_task(cache.clear())
        while not cache.pools["write"].busy:
            await asyncio.sleep(0)
        await clearing
        assert seen(cache.pools["write"]) == (1, 0, 0)


async def test_passwords_that_are_checked_are_counted() -> None:
    """Of two threads both compute, and a third computation waits."""
    pool = HashPool(threads=2)
    begun, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def compute() -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(stop.wait(), loop).result(30)

    futures = [pool.submit(compute) for _ in range(3)]
    await begun.wait()
    assert seen(pool) == (2, 2, 1)
    stop.set()
    await asyncio.gather(*futures)
    await asyncio.sleep(0)
    assert seen(pool) == (2, 0, 0)
    await pool.close()
