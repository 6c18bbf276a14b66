"""What a process knows of projects is one poll old at most, and survives the cache for a while."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache
from app.cache.memory import MemoryCache
from app.cache.sql import connect as connect_cache
from app.index import Index
from app.index.follow import SILENCE, Follower
from app.index.known import PER_FILE, PER_PROJECT, Known
from app.models import Change, Project
from app.storage.base import Storage
from app.storage.memory import connect as connect_storage
from tests.index.places import ALICE, Make

POLL = timedelta(seconds=0.05)
NAME = NormalizedName("demo-pkg")


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    """Shared by all replicas of a test."""
    async with connect_storage("memory:", {}) as found:
        yield found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The file of a cache that all replicas of a test share."""
    return tmp_path / "cache.db"


@asynccontextmanager
async def replica(
    storage: Storage,
    database: Path,
    *,
    poll: timedelta = POLL,
    stale: timedelta = timedelta(minutes=1),
) -> AsyncIterator[Index]:
    """An index with a connection of its own that follows the changes."""
    async with AsyncExitStack() as stack:
        url = f"sqlite+aiosqlite:///{database}"
        cache = await stack.enter_async_context(connect_cache(url, {}))
        index = Index(storage, cache, refresh=poll, stale=stale)
        if not await index.ready():
            await index.reindex()
        following = asyncio.create_task(index.follower.run())
        try:
            while not index.follower.fresh:
                await asyncio.sleep(0.005)
            yield index
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def break_cache(database: Path) -> None:
    """Make every answer of the cache an error; its connections stay."""
    with sqlite3.connect(database) as connection:
        connection.execute("BEGIN IMMEDIATE")  # or some would be made anew in between
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in list(tables):
            connection.execute(f'ALTER TABLE "{name}" RENAME TO "away_{name}"')
    connection.close()


def mend_cache(database: Path) -> None:
    """Undo ``break_cache``."""
    with sqlite3.connect(database) as connection:
        connection.execute("BEGIN IMMEDIATE")  # or some would be made anew in between
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'away_%'")
        for (name,) in list(tables):
            connection.execute(f'ALTER TABLE "{name}" RENAME TO "{name[5:]}"')
    connection.close()


async def versions(index: Index) -> set[str]:
    """The versions that a replica shows of the project."""
    return {file.version for file in (await index.project(NAME)).published}


async def until_at_hand(index: Index) -> None:
    """Return when the replica keeps the project: what it read before the news goes with them."""
    serial = (await index.project(NAME)).serial
    while (index.follower.seen or 0) < serial:
        await asyncio.sleep(0.01)
    await versions(index)


async def until_stale(index: Index) -> None:
    """Return when the replica has noticed that it cannot follow."""
    while index.follower.fresh:
        await asyncio.sleep(0.01)


async def until_followed(index: Index) -> None:
    """Return when it follows again: a look that began before the cache was back still fails."""
    async with asyncio.timeout(30):
        while not index.follower.fresh:
            await asyncio.sleep(0.01)


async def test_what_one_replica_writes_every_other_shows_within_a_poll(
    storage: Storage, database: Path, make: Make
) -> None:
    """The writing one shows it at once, the other soon, though both had the project at hand."""
    async with replica(storage, database) as one, replica(storage, database) as other:
        await one.publish(make(version="1"), ALICE)
        await asyncio.sleep(4 * POLL.total_seconds())
        assert await versions(one) == await versions(other) == {"1"}
        for number in range(2, 6):
            await one.publish(make(version=str(number)), ALICE)
            assert str(number) in await versions(one)
            async with asyncio.timeout(10 * POLL.total_seconds()):
                while str(number) not in await versions(other):
                    await asyncio.sleep(0.005)


async def test_a_name_known_to_be_free_is_taken_by_another(
    storage: Storage, database: Path, make: Make
) -> None:
    """Absence is remembered no longer than presence."""
    async with replica(storage, database) as one, replica(storage, database) as other:
        for _ in range(2):
            with pytest.raises(errors.ProjectNotFound):
                await other.project(NAME)
        await one.publish(make(), ALICE)
        await asyncio.sleep(4 * POLL.total_seconds())
        assert await versions(other) == {"1.0"}


async def test_a_file_at_hand_is_looked_up_as_the_cache_would(
    storage: Storage, database: Path, make: Make
) -> None:
    """Files, unknown files, deleted and quarantined ones answer alike, at hand or not."""
    async with replica(storage, database) as warm, replica(storage, database) as cold:
        published = (await warm.publish(make(version="1"), ALICE)).file
        gone = (await warm.publish(make(version="2"), ALICE)).file
        await warm.delete(gone, ALICE)
        await warm.project(NAME)
        for index in (warm, cold):
            assert await index.file(NAME, published.filename) == published
            for unknown in ("demo_pkg-9-py3-none-any.whl", gone.filename):
                with pytest.raises(errors.FileNotFound):
                    await index.file(NAME, unknown)


async def test_a_project_at_hand_needs_no_cache(
    storage: Storage, database: Path, make: Make
) -> None:
    """Between two polls a known project and its files are answered from memory."""
    async with replica(storage, database, poll=timedelta(minutes=1)) as index:
        file = (await index.publish(make(), ALICE)).file
        assert await versions(index) == {"1.0"}
        await asyncio.to_thread(break_cache, database)
        assert await versions(index) == {"1.0"}
        assert await index.file(NAME, file.filename) == file
        await asyncio.to_thread(mend_cache, database)


async def test_a_cache_that_fails_leaves_what_is_known_for_a_while(
    storage: Storage, database: Path, make: Make
) -> None:
    """Known projects are served though the cache is down; absence and the unknown are not told."""
    async with replica(storage, database) as index:
        file = (await index.publish(make(), ALICE)).file
        await until_at_hand(index)
        with pytest.raises(errors.ProjectNotFound):
            await index.project(NormalizedName("absent"))
        await asyncio.to_thread(break_cache, database)
        await until_stale(index)
        assert await versions(index) == {"1.0"}
        assert await index.file(NAME, file.filename) == file
        assert index.serves_stale
        for name in ("absent", "never-asked"):
            with pytest.raises(errors.CacheUnavailable):
                await index.project(NormalizedName(name))
        await asyncio.to_thread(mend_cache, database)
        await until_followed(index)
        await index.publish(make(version="2"), ALICE)
        assert await versions(index) == {"1.0", "2"}


class Hanging(MemoryCache):
    """A cache that may stop answering, and not even refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0

    async def serial(self) -> int:
        """Only while it answers, as everything else."""
        await self.answers.wait()
        return await super().serial()

    async def project(self, name: NormalizedName) -> Project | None:
        """Counted."""
        self.asked += 1
        await self.answers.wait()
        return await super().project(name)

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        """Counted."""
        self.asked += 1
        await self.answers.wait()
        return await super().outline(name, filename)


class GivenUp(Hanging):
    """A cache that hangs, and whose questions are given up after a while."""

    given_up = 0

    async def serial(self) -> int:
        """After longer than counts as silence."""
        try:
            async with asyncio.timeout(1.2 * SILENCE):
                await self.answers.wait()
        except TimeoutError:
            self.given_up += 1
            raise errors.CacheUnavailable from None
        return await super().serial()


async def test_a_cache_that_hangs_is_silent_until_it_speaks(storage: Storage) -> None:
    """Also while a new question waits that nobody answers either: the last one had no answer."""
    cache = GivenUp()
    index = Index(storage, cache, refresh=POLL, stale=timedelta(minutes=1))
    await index.reindex()
    following = asyncio.create_task(index.follower.run())
    while not index.follower.fresh:
        await asyncio.sleep(0.01)
    cache.answers.clear()
    while not index.follower.silent:
        await asyncio.sleep(0.01)
    while cache.given_up < 3:
        assert index.follower.silent
        await asyncio.sleep(0.01)
    cache.answers.set()
    while index.follower.silent:
        await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_cache_that_hangs_holds_up_nothing_that_is_at_hand(
    storage: Storage, make: Make
) -> None:
    """One that says nothing counts as down soon; then it is not even asked, until it speaks."""
    cache = Hanging()
    index = Index(storage, cache, refresh=POLL, stale=timedelta(minutes=1))
    await index.reindex()
    following = asyncio.create_task(index.follower.run())
    file = (await index.publish(make(), ALICE)).file
    assert await versions(index) == {"1.0"}
    while not index.follower.fresh:
        await asyncio.sleep(0.01)
    cache.answers.clear()
    await until_stale(index)
    async with asyncio.timeout(20):  # it would be for ever
        assert await versions(index) == {"1.0"}
        assert await index.file(NAME, file.filename) == file
        while not index.follower.silent:
            await asyncio.sleep(0.01)
        asked = cache.asked
        for _ in range(20):
            assert await versions(index) == {"1.0"}
            assert await index.file(NAME, file.filename) == file
    assert cache.asked == asked
    cache.answers.set()
    while not index.follower.fresh:
        await asyncio.sleep(0.01)
    assert not index.follower.silent
    await index.publish(make(version="2"), ALICE)
    assert await versions(index) == {"1.0", "2"}
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_what_is_too_stale_is_not_served(
    storage: Storage, database: Path, make: Make
) -> None:
    """After the time that the settings give, no answer is better than an old one."""
    async with replica(storage, database, stale=4 * POLL) as index:
        await index.publish(make(), ALICE)
        await versions(index)
        await asyncio.to_thread(break_cache, database)
        while index.serves_stale:
            await asyncio.sleep(0.01)
        with pytest.raises(errors.CacheUnavailable):
            await index.project(NAME)
        await asyncio.to_thread(mend_cache, database)


async def test_a_cache_that_lost_its_memory_is_believed(
    storage: Storage, database: Path, make: Make
) -> None:
    """After the cache was emptied nothing is known any more, and absence is not told."""
    async with replica(storage, database) as index:
        await index.publish(make(), ALICE)
        with pytest.raises(errors.ProjectNotFound):
            await index.project(NormalizedName("absent"))
        async with connect_cache(f"sqlite+aiosqlite:///{database}", {}) as cache:
            await cache.clear()
            await cache.record(Change(action="begin", time=datetime.now(UTC), actor=ALICE))
        await asyncio.sleep(4 * POLL.total_seconds())
        for name in (NAME, NormalizedName("absent")):
            with pytest.raises(errors.IndexNotReady):
                await index.project(name)


async def test_memory_is_bounded(make: Make, storage: Storage) -> None:
    """The projects that nobody asked for the longest go first, by what they take."""
    cache = MemoryCache()
    follower = Follower(cache, every=timedelta(minutes=1))
    await follower.poll()
    known = Known(cache, follower, memory=3 * (PER_PROJECT + PER_FILE), stale=timedelta(minutes=1))
    index = Index(storage, cache)
    await index.reindex()
    names = [NormalizedName(f"p{number}") for number in range(5)]
    for name in names:
        await index.publish(make(name=name), ALICE)
        await known.project(name)
    await known.project(names[2])
    await known.project(names[0])
    kept = [name for name in names if known.holds(name)]
    assert kept == [names[0], names[2], names[4]]


class Slow(MemoryCache):
    """A cache whose answers come when ``gate`` opens, as they were when they were asked for."""

    gate: asyncio.Event

    async def project(self, name: NormalizedName) -> Project | None:
        """The answer of now, then."""
        answer = await super().project(name)
        await self.gate.wait()
        return answer


async def test_an_answer_older_than_a_change_is_not_kept(storage: Storage, make: Make) -> None:
    """Whoever asks after a change waits for an answer of their own."""
    cache = Slow()
    cache.gate = asyncio.Event()
    follower = Follower(cache, every=timedelta(minutes=1))
    known = Known(cache, follower, memory=1 << 20, stale=timedelta(minutes=1))
    index = Index(storage, cache)
    await index.reindex()
    await follower.poll()
    early = asyncio.create_task(known.project(NAME))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.gate.set()
    await index.publish(make(), ALICE)
    known.drop(NAME)
    assert await early is None
    found = await known.project(NAME)
    assert found is not None
    assert len(found.published) == 1


async def test_changes_that_come_faster_than_they_are_read_are_not_waited_for(
    storage: Storage, make: Make
) -> None:
    """A follower far behind forgets everything, and goes on from where the cache is."""
    cache: Cache = MemoryCache()
    follower = Follower(cache, every=timedelta(minutes=1))
    told: list[NormalizedName | None] = []
    follower.tell(lambda name, _: told.append(name))
    await follower.poll()
    await cache.clear(10**6)
    change = Change(action="user.add", time=datetime.now(UTC), actor=ALICE, filename="bob")
    await cache.record(change)
    await follower.poll()
    index = Index(storage, cache)
    await index.reindex()
    told.clear()
    await index.publish(make(), ALICE)
    await follower.poll()
    assert NAME in told


async def test_whoever_lags_behind_what_is_still_listed_begins_anew(make: Make) -> None:
    """Where changes that it has not seen were pruned, a process forgets all that it knew."""
    async with connect_storage("memory:", {}) as storage:
        cache = MemoryCache()
        one, other = (Index(storage, cache) for _ in range(2))
        await one.reindex()
        await one.publish(make(version="1"), ALICE)
        told: list[NormalizedName | None] = []
        await other.follower.poll()
        other.follower.tell(lambda name, _: told.append(name))
        assert await versions(other) == {"1"}
        await one.publish(make(version="2"), ALICE)
        await one.publish(make("Another"), ALICE)
        await one.history.prune(1)
        actions = [change.action for change in await one.history.changes(0)]
        assert actions == ["begin", "pruned", "publish"]
        await other.follower.poll()
        assert told == [None, NormalizedName("another")]
        assert await versions(other) == {"1", "2"}
        assert not other.follower.lost


async def test_whoever_saw_all_that_was_pruned_loses_nothing(make: Make) -> None:
    """It goes on with what comes next; nothing passes for a cache that lost what it had."""
    async with connect_storage("memory:", {}) as storage:
        cache = MemoryCache()
        one, other = (Index(storage, cache, refresh=timedelta(0)) for _ in range(2))
        await one.reindex()
        await one.publish(make(version="1"), ALICE)
        await other.follower.poll()
        told: list[NormalizedName | None] = []
        other.follower.tell(lambda name, _: told.append(name))
        await one.publish(make(version="2"), ALICE)
        await other.follower.poll()
        told.clear()
        await one.history.prune(0)
        await one.publish(make("Another"), ALICE)
        await other.follower.poll()
        assert set(told) == {NormalizedName("another")}
        assert not other.follower.lost
        assert await one.ready()
        await one.reindex()
        assert await one.ready()
