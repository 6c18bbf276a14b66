"""What a cache promises of changes that are old."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from app.cache.base import Cache
from app.testing.cache.asking import everything
from app.testing.cache.nouns import ALPHA, CHANGE, make_change, make_file, make_project

PRUNED = make_change("pruned")
"""What stands for changes that went."""


class Pruning:
    """Old changes go, and nobody who has not seen them can take the rest for all."""

    async def test_pruning_drops_the_oldest_changes(self, cache: Cache) -> None:
        """The first stays; in the place of the last that went stands the change given."""
        given = [await cache.record(make_change(str(n))) for n in range(10)]
        every = await cache.changes(0)
        await cache.prune(given[5], PRUNED)
        there = [every[0], replace(PRUNED, serial=given[5]), *every[6:]]
        assert list(await cache.changes(0)) == there
        assert list(await cache.changes(0, limit=1)) == there[:1]
        assert list(await cache.changes(0, limit=2)) == there[:2]
        assert list(await cache.changes(0, limit=3)) == there[:3]
        assert list(await cache.changes(given[5])) == there[2:]
        assert await cache.serial() == given[-1]
        assert await cache.record(CHANGE) == given[-1] + 1

    async def test_whoever_lags_is_told(self, cache: Cache) -> None:
        """Whatever change a reader saw last, the next it gets is one it lacks, or the one given."""
        given = [await cache.record(make_change(str(n))) for n in range(8)]
        await cache.prune(given[5], PRUNED)
        for after in given[:5]:
            assert (await cache.changes(after, limit=1))[0] == replace(PRUNED, serial=given[5])
        for after in given[5:7]:
            assert (await cache.changes(after, limit=1))[0].serial == after + 1
        assert list(await cache.changes(given[7], limit=1)) == []

    async def test_pruning_again(self, cache: Cache) -> None:
        """The same again changes nothing, and further the one given moves on."""
        given = [await cache.record(make_change(str(n))) for n in range(9)]
        every = await cache.changes(0)
        await cache.prune(given[3], PRUNED)
        before = await cache.changes(0)
        for below in (0, given[0], given[3]):
            await cache.prune(below, replace(PRUNED, version="again"))
            assert await cache.changes(0) == before
        await cache.prune(given[6], PRUNED)
        assert list(await cache.changes(0)) == [
            every[0],
            replace(PRUNED, serial=given[6]),
            *every[7:],
        ]
        await cache.prune(given[-1] + 1000, PRUNED)
        assert list(await cache.changes(0)) == [every[0], replace(PRUNED, serial=given[-1])]
        after = await cache.record(CHANGE)
        assert [c.serial for c in await cache.changes(0)] == [given[0], given[-1], after]

    async def test_pruning_forgets_no_project(self, cache: Cache) -> None:
        """Projects, files, serials and that it was built stay as they are."""
        await cache.save_project(make_project(), CHANGE)
        for n in range(5):
            await cache.save(make_file(f"1.{n}"), CHANGE)
        await cache.set_built()
        changes, before = await cache.changes(0), await everything(cache)
        await cache.prune(await cache.serial(), PRUNED)
        fewer, after = await cache.changes(0), await everything(cache)
        assert len(fewer) == 2
        assert [changes if one == fewer else one for one in after] == before
        assert await cache.built()

    async def test_nothing_to_prune(self, cache: Cache) -> None:
        """Of an empty cache, and of one with a single change, nothing goes."""
        await cache.prune(1000, PRUNED)
        assert list(await cache.changes(0)) == []
        await cache.record(CHANGE)
        before = await cache.changes(0)
        await cache.prune(1000, PRUNED)
        assert await cache.changes(0) == before

    async def test_clearing_what_was_pruned(self, cache: Cache) -> None:
        """Of what was pruned before nothing is said in a cache that was cleared since."""
        given = [await cache.record(make_change(str(n))) for n in range(4)]
        await cache.prune(given[2], PRUNED)
        await cache.clear()
        assert list(await cache.changes(0)) == []
        serial = await cache.record(CHANGE)
        assert list(await cache.changes(0)) == [replace(CHANGE, serial=serial)]

    async def test_pruning_thousands(self, cache: Cache) -> None:
        """However many they are, and however many were written at once."""
        first = await cache.record(CHANGE)
        for start in range(0, 2_400, 600):
            every = [make_project(f"p{n:04}") for n in range(start, start + 600)]
            await cache.restore(every, make_change("reindex"))
        last = await cache.serial()
        await cache.prune(last - 300, PRUNED)
        left = await cache.changes(0, limit=5_000)
        assert left[0].serial == first
        assert left[1].action == "pruned"
        assert last - 500 <= left[1].serial <= last - 300
        assert [c.serial for c in left[1:]] == list(range(left[1].serial, last + 1))
        assert await cache.outline(every[-1].name) is not None

    async def test_a_follower_beside_pruning(self, cache: Cache) -> None:
        """Of every change a reader sees itself, or what stands for it, while all go on."""
        await cache.save_project(make_project(), CHANGE)
        over = asyncio.Event()

        async def write(writer: int) -> None:
            for n in range(15):
                await cache.save(make_file(f"{writer}.{n}"), CHANGE)

        async def prune() -> None:
            while not over.is_set():
                await cache.prune(await cache.serial() - 3, PRUNED)
                await asyncio.sleep(0.01)

        async def follow() -> None:
            seen = 0
            while seen < 61:
                for change in await cache.changes(seen, limit=4):
                    assert change.serial == seen + 1 or change.action == "pruned"
                    seen = change.serial
                await asyncio.sleep(0.02)

        tasks = [asyncio.create_task(one) for one in (prune(), prune(), follow())]
        await asyncio.gather(*map(write, range(4)))
        await asyncio.wait_for(tasks[2], 60)
        over.set()
        await asyncio.gather(*tasks)
        assert await cache.serial() == 61
        found = await cache.project(ALPHA)
        assert found is not None
        assert len(found.files) == 60
