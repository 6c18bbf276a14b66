"""A cache that is cold, emptied amid a request, or behind: nothing is called absent."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache import certainty, schema
from app.cache.memory import MemoryCache
from app.cache.sql import connect as connect_cache
from app.index import Index
from app.index.keep import keep
from app.models import Change, File, Project, ProjectSummary
from app.storage.base import Storage
from app.storage.memory import connect as connect_storage
from tests.index.places import ALICE, Make, Place

DEMO = NormalizedName("demo-pkg")
POLL = timedelta(seconds=0.05)

Reading = Callable[[Index, File], Coroutine[Any, Any, object]]
READINGS: dict[str, Reading] = {
    "project": lambda index, file: index.project(DEMO),
    "present": lambda index, file: index.present(DEMO),
    "generation": lambda index, file: index.generation(DEMO),
    "file": lambda index, file: index.file(DEMO, file.filename),
    "restore": lambda index, file: index.restore(DEMO, file.filename, ALICE),
}


class Troubled(MemoryCache):
    """A cache that is emptied, rebuilt or silent just when a test says so."""

    forgetful = 0
    """So many answers come from an empty cache, which is complete again at once."""
    leaving = False
    """The next list is read, or found to be still true, while the cache is being emptied."""
    silent = False
    """It answers nothing about a project."""
    dumb = False
    """It takes no writes."""
    gate: asyncio.Event | None = None
    """Until it is set, nobody is told how far the changes are."""
    polls = 0

    async def project(self, name: NormalizedName) -> Project | None:
        if self.silent:
            raise errors.CacheUnavailable("The cache does not answer.")
        return await super().project(name) if self._remembers() else None

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        return await super().outline(name, filename) if self._remembers() else None

    async def certain(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        return await certainty.certain(self, name, filename)

    async def serial(self) -> int:
        self.polls += 1
        if self.gate is not None:
            await self.gate.wait()
        return await super().serial()

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        if self.leaving:
            await self.clear()
        return await super().projects(after=after, limit=limit)

    async def shown_serial(self) -> int:
        if self.leaving:
            await self.clear()
        return await super().shown_serial()

    async def save(self, file: File, change: Change) -> int:
        if self.dumb:
            raise errors.CacheUnavailable("The cache does not answer.")
        return await super().save(file, change)

    def _remembers(self) -> bool:
        self.forgetful -= 1
        return self.forgetful < 0


@pytest.fixture
async def cache(place: Place) -> Troubled:
    """The cache of the place, built."""
    place.cache = found = Troubled()
    await place.index.reindex()
    return found


@pytest.mark.parametrize("reading", READINGS)
async def test_one_answer_proves_no_absence(
    place: Place, cache: Troubled, make: Make, reading: str
) -> None:
    """What an emptied cache did not know, and a complete one does, is there."""
    index = place.index
    file = (await index.publish(make(), ALICE)).file
    cache.forgetful = 1
    assert await READINGS[reading](index, file)


@pytest.mark.parametrize("reading", READINGS)
async def test_a_cold_cache_calls_nothing_absent(place: Place, make: Make, reading: str) -> None:
    """Not ready, whatever is asked of it; the default rights are not those of a name unknown."""
    file = (await place.index.publish(make(), ALICE)).file
    await place.lose_cache()
    with pytest.raises(errors.IndexNotReady):
        await READINGS[reading](place.index, file)


async def test_no_list_of_a_cache_that_was_emptied_meanwhile(
    place: Place, cache: Troubled, make: Make
) -> None:
    """The root is whole or not there."""
    index = place.index
    await index.publish(make(), ALICE)
    assert [line.name for line in (await index.listing()).projects] == [DEMO]
    cache.leaving = True
    with pytest.raises(errors.IndexNotReady):
        await index.listing()
    with pytest.raises(errors.IndexNotReady):
        await index.projects()


async def test_what_was_answered_after_a_failure_is_shown(
    place: Place, cache: Troubled, make: Make
) -> None:
    """An act that the cache was not told of is told when it is asked for again."""
    index = place.index
    file = (await index.publish(make(), ALICE)).file
    acts: list[tuple[Callable[[], Coroutine[Any, Any, object]], Callable[[Project], bool]]] = [
        (lambda: index.yank([file], "bad", ALICE), lambda p: p.published[0].yanked == "bad"),
        (lambda: index.unyank([file], ALICE), lambda p: p.published[0].yanked is None),
        (lambda: index.delete(file, ALICE), lambda p: not p.published),
        (lambda: index.restore(DEMO, file.filename, ALICE), lambda p: len(p.published) == 1),
    ]
    for act, done in acts:
        cache.dumb = True
        with pytest.raises(errors.CacheUnavailable):
            await act()
        assert not done(await index.project(DEMO))
        cache.dumb = False
        await act()
        assert done(await index.project(DEMO))


async def test_what_another_process_told_is_shown_by_whoever_answers_for_it(
    place: Place, cache: Troubled, make: Make
) -> None:
    """An upload sent again to another process: its 200 means that its page has the file."""
    one, other = Index(place.storage, cache), Index(place.storage, cache)
    await one.publish(make(), ALICE)
    assert len((await other.project(DEMO)).published) == 1
    await one.publish(make(version="2.0"), ALICE)
    assert not (await other.publish(make(version="2.0"), ALICE)).new
    assert len((await other.project(DEMO)).published) == 2


async def test_nothing_is_written_into_a_cache_that_is_not_complete(
    place: Place, make: Make
) -> None:
    """Readers would see half a project; the reindex brings what was committed meanwhile."""
    index = place.index
    file = (await index.publish(make(), ALICE)).file
    await index.publish(make(version="2.0"), ALICE)
    await place.lose_cache()
    with pytest.raises(errors.IndexNotReady):
        await place.index.yank([file], "bad", ALICE)
    assert await place.cache.project(DEMO) is None
    await place.index.reindex()
    yanked = {one.version: one.yanked for one in (await place.index.project(DEMO)).published}
    assert yanked == {"1.0": "bad", "2.0": None}


async def test_those_who_wait_for_a_frozen_cache_do_not_queue(
    place: Place, cache: Troubled
) -> None:
    """All of them wait for one look at the changes, not each for one of its own."""
    index = place.index
    cache.gate, before = asyncio.Event(), cache.polls
    asking = [asyncio.create_task(index.project(DEMO)) for _ in range(5)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert cache.polls == before + 1
    cache.gate.set()
    for task in asking:
        with pytest.raises(errors.ProjectNotFound):
            await task


async def test_a_failed_write_does_not_take_the_page_of_others(
    place: Place, cache: Troubled, make: Make
) -> None:
    """While the cache is down the page at hand stays there, whoever tries to change it."""
    index = place.index
    await index.publish(make(), ALICE)
    await index.follower.poll()
    await index.project(DEMO)
    cache.silent = True
    for _ in range(2):
        with pytest.raises(errors.CacheUnavailable):
            await index.present(DEMO)
        assert (await index.project(DEMO)).published


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    """One for all of a test."""
    async with connect_storage("memory:", {}) as found:
        yield found


def lose_the_last(database: Path, name: str) -> None:
    """Have the cache be as it was before the last change, which brought this project's file."""
    with sqlite3.connect(database) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, column in ((schema.files, "project"), (schema.projects, "name")):
            connection.execute(f"DELETE FROM {table.name} WHERE {column} = ?", (name,))
        gone = connection.execute(
            f"SELECT min(serial) FROM {schema.history.name} WHERE project = ?", (name,)
        ).fetchone()
        connection.execute(f"DELETE FROM {schema.history.name} WHERE serial >= ?", gone)
        connection.execute(
            f"UPDATE {schema.meta.name} SET value = ? WHERE name = 'serial'", (gone[0] - 1,)
        )
    connection.close()


@pytest.mark.parametrize("others", [0, 5])
@pytest.mark.parametrize("seen", [True, False])
async def test_a_cache_that_lost_its_last_changes_is_made_good(
    storage: Storage, tmp_path: Path, make: Make, others: int, seen: bool
) -> None:
    """As after a failover: the loss is noticed, though the serials went on, and mended alone.

    Whether the changes were read back, or only made here. ``others`` are made meanwhile by
    somebody who noticed nothing.
    """
    url = f"sqlite+aiosqlite:///{tmp_path}/cache.db"
    lost = NormalizedName("lost")
    async with connect_cache(url, {}) as cache, connect_cache(url, {}) as theirs:
        index, other = Index(storage, cache, refresh=POLL), Index(storage, theirs)
        await index.reindex()
        await index.publish(make(), ALICE)
        await index.follower.poll()
        await index.publish(make(name=lost), ALICE)
        if seen:
            await index.follower.poll()
        await asyncio.to_thread(lose_the_last, tmp_path / "cache.db", lost)
        for number in range(others):
            await other.publish(make(name=f"other-{number}"), ALICE)
        await asyncio.sleep(3 * POLL.total_seconds())
        with pytest.raises(errors.IndexNotReady):
            await index.project(lost)
        with pytest.raises(errors.IndexNotReady):
            await index.listing()
        assert not await index.ready()
        async with keep(index, reconcile_every=timedelta(hours=1)), asyncio.timeout(60):
            while not await index.ready():
                await asyncio.sleep(0.02)
            assert len((await index.project(lost)).published) == 1
            names = {line.name for line in (await index.listing()).projects}
            assert names == {DEMO, lost, *(f"other-{number}" for number in range(others))}
