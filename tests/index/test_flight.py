"""Of several replicas one reindexes; the others watch, and go on where it dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from ulid import ULID

from app import errors, plugins
from app.cache.base import Cache
from app.index import Index, compare, holder, reindex
from app.index.holder import Holder
from app.index.keep import keep
from app.index.lease import Lease, Pace, Record
from app.index.progress import Progress
from app.models import Actor
from app.storage.memory import MemoryStorage
from tests.cache.conftest import REDIS, SHARED, place
from tests.index.places import ALICE, Make
from tests.servers import dynamodb

PACE = Pace(beat=0.05, life=1.0, look=0.02)
LIVELY = Pace(beat=0.05, life=60, look=0.02)
"""Nobody counts as dead, however much else this machine has to do."""
PROJECTS = 12
SOME = pytest.mark.parametrize("fleet", ["memory", "postgresql", "redis"], indirect=True)
"""For what the kind of cache has less to do with."""
EVE = Actor(kind="user", id="eve")


class Counting(MemoryStorage):
    """Counts how often each event of the journal is read; reading takes ``pause`` seconds.

    Behind its closed ``gate`` no event can be read; until its ``thaw`` no lease is written,
    so that whoever uses it looks dead to others.
    """

    def __init__(self, held: MemoryStorage | None = None) -> None:
        super().__init__()
        if held is not None:
            self._held = held._held
        self.reads: Counter[str] = Counter()
        self.pause = 0.0
        self.gate, self.thaw = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.thaw.set()

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        if key.startswith("journal/"):
            await asyncio.sleep(self.pause)
            await self.gate.wait()
            self.reads[key] += 1
        async for chunk in super().get(key, start=start, end=end):
            yield chunk

    async def create(self, key: str, content: bytes) -> bool:
        if key.startswith("leases/"):
            await self.thaw.wait()
        return await super().create(key, content)


@dataclass
class Replica:
    """An index of a process of its own, as far as that is possible in one."""

    index: Index
    storage: Counting

    @property
    def read(self) -> set[str]:
        """The projects of which it read events."""
        return {key.split("/")[1] for key in self.storage.reads}


@dataclass
class Fleet:
    """Replicas on one storage and one cache, each with connections of its own."""

    storage: Counting
    open_cache: Callable[[], AsyncIterator[Cache]]
    stack: AsyncExitStack

    async def replica(self, pace: Pace = LIVELY) -> Replica:
        """One more."""
        storage = Counting(self.storage)
        cache = await self.stack.enter_async_context(asynccontextmanager(self.open_cache)())
        return Replica(Index(storage, cache, pace=pace), storage)


@pytest.fixture(params=["memory", *SHARED, *REDIS, "dynamodb"])
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fleet]:
    """A fleet without replicas, on each kind of cache; one in memory is shared as it is."""
    options = dynamodb.server().options if request.param == "dynamodb" else {}
    async with AsyncExitStack() as stack:
        opened = asynccontextmanager(place)(request.param, f"sqlite+aiosqlite:///{tmp_path}/c.db")
        url = await stack.enter_async_context(opened)
        one: list[Cache] = []

        async def open_cache() -> AsyncIterator[Cache]:
            if one:
                yield one[0]
                return
            async with plugins.backend("cache", url)(url, options) as cache:
                if request.param == "memory":
                    one.append(cache)
                yield cache

        yield Fleet(Counting(), open_cache, stack)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor moves on with every second project, and few are read ahead."""
    monkeypatch.setattr(reindex, "BATCH", 2)
    monkeypatch.setattr(reindex, "READERS", 2)


async def fill(fleet: Fleet, make: Make) -> Replica:
    """A replica that knows one file of each of so many projects."""
    away = Index(fleet.storage, await memory(), pace=PACE)
    await away.reindex()
    for number in range(PROJECTS):
        await away.publish(make(f"p{number:03d}"), ALICE)
    replica = await fleet.replica()
    await replica.index.reindex()
    replica.storage.reads.clear()
    return replica


async def until(happened: Callable[[], object]) -> None:
    """Wait for it."""
    async with asyncio.timeout(60):
        while not happened():
            await asyncio.sleep(0.005)


async def names(replica: Replica) -> list[str]:
    """What it lists."""
    return [line.name for line in await replica.index.projects()]


def far(replica: Replica) -> int:
    """How many projects it has read and brought into the cache."""
    return replica.index.reindexed.projects


async def test_of_replicas_that_find_the_cache_emptied_one_builds(fleet: Fleet, make: Make) -> None:
    """Each event is read once, by one of them; all come to know the same projects."""
    first = await fill(fleet, make)
    await first.index._cache.clear()
    replicas = [await fleet.replica() for _ in range(3)]
    for replica in replicas:
        replica.storage.pause = 0.005
    async with AsyncExitStack() as stack:
        for replica in replicas:
            every = timedelta(hours=1)
            await stack.enter_async_context(keep(replica.index, reconcile_every=every))
        async with asyncio.timeout(60):
            while not await replicas[0].index.ready():
                await asyncio.sleep(0.01)
    reads = sum((replica.storage.reads for replica in replicas), Counter[str]())
    assert set(reads.values()) == {1}
    assert sum(bool(replica.read) for replica in replicas) == 1
    for replica in replicas:
        assert len(await names(replica)) == PROJECTS


@pytest.mark.usefixtures("small")
async def test_a_build_is_gone_on_with_where_its_holder_fell_silent(
    fleet: Fleet, make: Make
) -> None:
    """Who watched takes over in time, reads no event again that was brought, and finishes."""
    first = await fill(fleet, make)
    await first.index._cache.clear()
    silent, watcher = await fleet.replica(), await fleet.replica(PACE)
    silent.storage.pause = 0.02
    lost = silent.index.reindex()
    await until(lambda: far(silent) >= PROJECTS // 3)
    watching = watcher.index.reindex()
    await until(lambda: watcher.index.reindexed.projects)
    cursor = await fall_silent(silent)
    assert not watcher.storage.reads
    progress = await asyncio.wait_for(watching, 60)
    assert (progress.state, progress.projects, progress.files) == ("done", PROJECTS, PROJECTS)
    assert watcher.read == {name for name in await names(watcher) if name > cursor}
    assert len(await names(watcher)) == PROJECTS
    assert await agree(first)
    lost.cancel()
    silent.storage.thaw.set()
    await asyncio.gather(lost, return_exceptions=True)


@SOME
@pytest.mark.usefixtures("small")
async def test_a_comparison_is_gone_on_with_too(fleet: Fleet, make: Make) -> None:
    """Of a cache that is whole, what was compared before is not looked at again."""
    first = await fill(fleet, make)
    silent, watcher = await fleet.replica(), await fleet.replica(PACE)
    writer = await fleet.replica()
    await behind(writer, make, *(f"p{number:03d}" for number in range(0, PROJECTS, 2)))
    silent.storage.pause = 0.02
    lost = silent.index.reindex(by=EVE)
    await until(lambda: far(silent) >= PROJECTS // 3)
    watching = watcher.index.reindex(wanted="attend")
    await until(lambda: watcher.index.reindexed.projects)
    cursor = await fall_silent(silent)
    progress = await asyncio.wait_for(watching, 60)
    assert (progress.state, progress.by) == ("done", "user:eve")
    assert progress.projects == PROJECTS
    assert watcher.read
    assert watcher.read <= {f"p{n:03d}" for n in range(PROJECTS) if f"p{n:03d}" > cursor}
    assert await agree(first)
    lost.cancel()
    silent.storage.thaw.set()
    await asyncio.gather(lost, return_exceptions=True)


async def fall_silent(replica: Replica) -> str:
    """From now on its records stay away, and what it reads does not come; its last cursor."""
    replica.storage.thaw.clear()
    replica.storage.gate.clear()
    cursor = (await Index(replica.storage, replica.index._cache).reindexing()).cursor
    assert cursor
    return cursor


async def behind(replica: Replica, make: Make, *projects: str) -> None:
    """Events that the cache does not hear of."""
    away = Index(replica.storage, await memory(), pace=PACE)
    await away.reindex()
    for name in projects:
        await away.publish(make(name, "2.0"), ALICE)


async def memory() -> Cache:
    """A cache of nobody else."""
    async with plugins.backend("cache", "memory:")("memory:", {}) as cache:
        found: Cache = cache
    return found


async def agree(replica: Replica) -> bool:
    """Whether a check finds nothing."""
    return [finding async for finding in replica.index.check().run()] == []


@SOME
@pytest.mark.usefixtures("small")
async def test_a_replica_that_is_told_to_end_leaves_its_run_to_another(
    fleet: Fleet, make: Make
) -> None:
    """Whoever looks next goes on at once; what was restored is only counted."""
    first = await fill(fleet, make)
    await first.index._cache.clear()
    ending, next_one = await fleet.replica(), await fleet.replica()
    ending.storage.pause = 0.02
    ended = ending.index.reindex()
    await until(lambda: far(ending) >= PROJECTS // 3)
    await ending.index.stop()
    assert ended.cancelled()
    left = await next_one.index.reindexing()
    assert (left.state, left.running) == ("interrupted", False)
    progress = await next_one.index.reindex()
    assert (progress.run, progress.projects) == (left.run, PROJECTS)
    assert len(next_one.read) <= PROJECTS - left.projects
    assert len(await names(next_one)) == PROJECTS


@SOME
@pytest.mark.usefixtures("small")
async def test_what_a_cache_lost_below_the_cursor_is_restored(fleet: Fleet, make: Make) -> None:
    """A cursor saves reading, it proves nothing: what is missing before it is found."""
    first = await fill(fleet, make)
    await first.index._cache.clear()
    ending, next_one = await fleet.replica(), await fleet.replica()
    ending.storage.pause = 0.02
    ending.index.reindex()
    await until(lambda: far(ending) >= PROJECTS // 3)
    await ending.index.stop()
    gone = make("p001").project
    await next_one.index._cache.forget(gone, None, compare.change("lost"))
    await next_one.index.reindex()
    assert gone in next_one.read
    assert len(await names(next_one)) == PROJECTS


async def test_a_cache_emptied_while_it_is_built_does_not_pass_for_whole(
    fleet: Fleet, make: Make
) -> None:
    """The run fails, says why, and the next one builds all of it."""
    first = await fill(fleet, make)
    await first.index._cache.clear()
    replica = await fleet.replica()
    replica.storage.gate.clear()
    building = replica.index.reindex()
    await until(lambda: replica.index.reindexed.running)
    await first.index._cache.clear()
    replica.storage.gate.set()
    with pytest.raises(errors.CacheUnavailable):
        await building
    assert not await replica.index.ready()
    assert replica.index.reindexed.state == "failed"
    assert replica.index.reindexed.reason
    await replica.index.reindex()
    assert len(await names(replica)) == PROJECTS


@SOME
@pytest.mark.usefixtures("small")
async def test_the_run_of_another_is_shown_and_joined(fleet: Fleet, make: Make) -> None:
    """Asking elsewhere shows the same run, by whom and since when; its end is everybody's."""
    first = await fill(fleet, make)
    other = await fleet.replica()
    idle = Index(Counting(), await memory(), pace=PACE)
    assert (await idle.reindexing()).state == "idle"
    await first.index._cache.clear()
    first.storage.gate.clear()
    running = first.index.reindex(by=EVE)
    await until(lambda: first.index.reindexed.running)
    seen = await other.index.reindexing()
    assert (seen.running, seen.by, seen.building) == (True, "user:eve", True)
    assert seen.since is not None
    assert seen.since <= datetime.now(UTC)
    reports: list[int] = []
    joining = other.index.reindex(lambda progress: reports.append(progress.projects))
    await until(lambda: reports)
    first.storage.gate.set()
    joined, done = await joining, await running
    assert reports[-1] == PROJECTS
    assert not other.storage.reads
    assert replace(joined, updated=None) == replace(done, updated=None)
    shown = await other.index.reindexing()
    assert (shown.state, shown.projects, shown.repaired) == ("done", PROJECTS, PROJECTS)


class TestLeases:
    """What a lease does when its holder sleeps, or its records cannot be read."""

    async def test_a_sleeper_that_wakes_has_lost_its_lease(self) -> None:
        """Also where the number it would write next was swept away meanwhile."""
        storage = MemoryStorage()
        sleeper = await Lease(storage, "x").take(None, await record())
        assert sleeper is not None
        lease = Lease(storage, "x")
        other = await lease.take(await lease.newest(), await record())
        assert other is not None
        for _ in range(5):
            await other.write()
        await sleeper.write()
        assert sleeper.lost
        assert not other.lost
        newest = await lease.newest()
        assert newest is not None
        assert newest.number == 7
        assert len(await lease.numbers()) == 2

    async def test_of_racers_one_holds_the_lease(self) -> None:
        """However many try at once."""
        storage = MemoryStorage()
        tries = [Lease(storage, "x").take(None, await record()) for _ in range(16)]
        held = [one for one in await asyncio.gather(*tries) if one is not None]
        assert len(held) == 1
        assert not held[0].lost

    async def test_a_record_that_nobody_can_read_is_followed_by_the_next(self) -> None:
        """It bars nobody."""
        storage = MemoryStorage()
        await storage.create("leases/x/0000000041.json", b"{not json")
        lease = Lease(storage, "x")
        seen = await lease.newest()
        assert seen is not None
        assert (seen.number, seen.record, seen.running) == (41, None, False)
        held = await lease.take(seen, await record())
        assert held is not None
        assert (await lease.numbers()) == [41, 42]

    async def test_another_clock_takes_no_lease_away(self, make: Make) -> None:
        """A holder whose clock is days off is watched like any other, for the life of a lease."""
        storage = Counting()
        cache = await memory()
        index = Index(storage, cache, pace=PACE)
        await index.reindex()
        for days in (-2, 2):
            wrong = datetime.now(UTC) + timedelta(days=days)
            first = await reindex.begun(cache)
            assert first is not None
            lease = Lease(storage, f"reindex/{first:016d}")
            away = await record(updated=wrong, run="theirs")
            assert await lease.put(((await lease.numbers())[-1]) + 1, away)
            began = asyncio.get_running_loop().time()
            await index.reindex()
            assert asyncio.get_running_loop().time() - began >= PACE.life * 0.9

    async def test_the_dead_of_this_machine_are_not_waited_for(self) -> None:
        """A process that ended is known to have; one that lives is watched."""
        mine = await asyncio.to_thread(holder.introduce)
        assert not await asyncio.to_thread(holder.is_gone, mine)
        ended = msgspec.structs.replace(mine, started="1")
        assert await asyncio.to_thread(holder.is_gone, ended)
        away = msgspec.structs.replace(ended, machine="elsewhere")
        assert not await asyncio.to_thread(holder.is_gone, away)


async def record(**facts: object) -> Record:
    """A record of a holder somewhere else."""
    return Record(Holder(id=str(ULID()), name="x:1"), Progress(**facts))  # type: ignore[arg-type]


async def test_one_replica_reindexes_when_it_is_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever nobody told the cache is found within the interval, by one run for all."""
    storage, cache = Counting(), await memory()
    replicas = [Index(storage, cache, pace=PACE) for _ in range(3)]
    await replicas[0].reindex()
    away = Index(storage, await memory(), pace=PACE)
    await away.reindex()
    await away.publish(make(), ALICE)
    first = await reindex.begun(cache)
    runs: set[str] = set()
    async with AsyncExitStack() as stack:
        for index in replicas:
            every = timedelta(seconds=1)
            await stack.enter_async_context(
                keep(index, reconcile_every=timedelta(hours=1), reindex_every=every)
            )
        begun = asyncio.get_running_loop().time()
        async with asyncio.timeout(60):
            while len(runs) < 4:
                latest = await replicas[0].reindexing()
                runs.add(latest.run)
                await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - begun >= 2
    assert [line.name for line in await cache.projects()] == ["demo-pkg"]
    assert await reindex.begun(cache) == first
