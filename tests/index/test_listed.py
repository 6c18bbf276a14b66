"""The list of projects at hand: as true as one read whole, without reading it whole each time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from app import errors, plugins
from app.cache.base import Cache, Query
from app.cache.memory import MemoryCache
from app.index import Index
from app.index.listed import BRIEF, FEW
from app.models import File, ProjectSummary, Status
from app.storage.base import Storage
from app.storage.memory import connect as connect_storage
from app.testing.cache.nouns import CHANGE, make_file, make_project
from tests.cache.conftest import REDIS, SHARED, options_of, place
from tests.index.places import ALICE, Make

SEED = 20_261_129
STEPS = 120


class Counted(MemoryCache):
    """A cache that counts how often its whole list is read."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = 0
        self.failing = False

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        self.whole += limit is None
        return await super().projects(after=after, limit=limit)

    async def shown_serial(self) -> int:
        if self.failing:
            raise errors.CacheUnavailable("The cache does not answer.")
        return await super().shown_serial()


@pytest.fixture
def cache() -> Counted:
    """Empty."""
    return Counted()


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    """Empty."""
    async with connect_storage("memory:", {}) as found:
        yield found


@pytest.fixture(params=[*SHARED, *REDIS, "dynamodb"])
async def any_cache(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cache]:
    """An empty cache of each kind that several processes may open."""
    async for url in place(request.param, f"sqlite+aiosqlite:///{tmp_path}/cache.db"):
        async with plugins.backend("cache", url)(url, options_of(request.param)) as cache:
            yield cache


@pytest.fixture
async def index(storage: Storage, cache: Counted) -> Index:
    """An index whose cache is complete."""
    found = Index(storage, cache)
    await found.reindex()
    return found


async def agrees(index: Index, cache: Counted) -> bool:
    """Whether the list is what the cache says as a whole."""
    listing = await index.listing()
    whole = await MemoryCache.projects(cache)
    return listing.projects == whole and listing.serial == await cache.shown_serial()


async def test_what_changed_is_read_by_itself(index: Index, cache: Counted, make: Make) -> None:
    """New projects, changed ones and those that went, wherever they stand."""
    for name in ("m", "a", "z9", "m-1"):
        await index.publish(make(name), ALICE)
    assert await agrees(index, cache)
    before = cache.whole
    await index.publish(make("m-0"), ALICE)
    assert await agrees(index, cache)
    await index.publish(make("m", version="2.0"), ALICE)
    assert await agrees(index, cache)
    await index.delete_project(NormalizedName("m-0"), ALICE)
    assert await agrees(index, cache)
    assert [line.name for line in (await index.listing()).projects] == ["a", "m", "m-1", "z9"]
    assert cache.whole == before


async def test_nothing_changed_and_nothing_is_read(
    index: Index, cache: Counted, make: Make
) -> None:
    """The very list that was answered before."""
    await index.publish(make(), ALICE)
    before = await index.listing()
    assert (await index.listing()).projects is before.projects


async def test_much_changed_and_all_is_read(index: Index, cache: Counted, make: Make) -> None:
    """More changes than are read by themselves."""
    await index.publish(make(), ALICE)
    assert await agrees(index, cache)
    before = cache.whole
    for number in range(FEW + 1):
        await index.publish(make(f"more-{number}"), ALICE)
    assert await agrees(index, cache)
    assert cache.whole == before + 1


async def test_any_may_have_changed_and_all_is_read(
    index: Index, cache: Counted, make: Make
) -> None:
    """A cache that was built anew, and one of which old changes are gone."""
    await index.publish(make("one"), ALICE)
    await index.publish(make("other"), ALICE)
    assert await agrees(index, cache)
    await cache.clear()
    await index.reindex()
    assert await agrees(index, cache)
    await index.publish(make("third"), ALICE)
    await index.history.prune(0)
    assert await agrees(index, cache)


async def test_another_past_is_noticed(storage: Storage, make: Make) -> None:
    """Of a cache that lost what it had and went on with the same serials, all is read."""
    lost, kept = Counted(), Counted()
    index, other = Index(storage, lost), Index(storage, kept)
    await index.reindex()
    await other.reindex()
    await index.follower.poll()
    await index.publish(make("gone"), ALICE)
    await index.follower.poll()
    assert [line.name for line in (await index.listing()).projects] == ["gone"]
    await other.publish(make("mine"), ALICE)
    await other.publish(make("too"), ALICE)
    lost.__dict__.update(kept.__dict__)  # another database took over
    await index.follower.poll()
    await index.reindex()
    assert await agrees(index, lost)
    assert {"gone", "mine", "too"} == {line.name for line in (await index.listing()).projects}


async def test_any_workload_leaves_the_list_true(
    storage: Storage, cache: Counted, make: Make
) -> None:
    """Whoever writes, by whatever process, and whoever reads at the same time."""
    chance = random.Random(SEED)
    replicas = [Index(storage, cache), Index(storage, cache)]
    await replicas[0].reindex()
    before = cache.whole
    for step in range(STEPS):
        writer, reader = chance.sample(replicas, 2)
        name = NormalizedName(f"p-{chance.randrange(12)}")
        match chance.randrange(4):
            case 0 | 1:
                work = writer.publish(make(name, version=f"{step + 1}.0"), ALICE)
                await asyncio.gather(work, reader.listing(), writer.listing())
            case 2 if files := await published(writer, name):
                await asyncio.gather(forget(writer, chance.choice(files)), reader.listing())
            case 3 if await published(writer, name):
                status = chance.choice([Status.DEPRECATED, Status.ACTIVE])
                await writer.set_status(name, status, "because", ALICE)
        assert await agrees(reader, cache), f"after step {step}, seed {SEED}"
    assert cache.whole <= before + len(replicas)


@pytest.mark.slow
async def test_every_cache_gives_the_line_of_a_project(
    storage: Storage, any_cache: Cache, make: Make
) -> None:
    """Whatever names stand beside it, and whether it is there or not."""
    index = Index(storage, any_cache)
    await index.reindex()
    for name in ("a", "0", "a0", "z9", "a-b", "ab", "a-0", "b", "9"):
        await index.publish(make(name), ALICE)
        assert (await index.listing()).projects == await any_cache.projects()
    for name in ("a-0", "0", "z9", "a"):
        await index.delete_project(NormalizedName(name), ALICE)
        assert (await index.listing()).projects == await any_cache.projects()
    found = await index.search(Query(names=("a",)), after="a-b", limit=1)
    assert [line.name for line in found] == ["a0"]


async def forget(index: Index, file: File) -> None:
    """Delete a file, or the whole project where it is the last."""
    if len(await published(index, file.project)) > 1:
        await index.delete(file, ALICE)
    else:
        await index.delete_project(file.project, ALICE)


async def published(index: Index, name: NormalizedName) -> Sequence[File]:
    """The files that a project shows, if there is one."""
    try:
        return (await index.project(name)).published
    except errors.ProjectNotFound:
        return ()


async def test_the_last_list_is_there_while_the_cache_is_not(
    index: Index, cache: Counted, make: Make
) -> None:
    """For as long as what is known may be served."""
    await index.publish(make(), ALICE)
    await index.follower.poll()
    before = await index.listing()
    cache.failing = True
    assert await index.listing() == before


@pytest.mark.parametrize("extra", [0, BRIEF + 1], ids=["few", "many"])
async def test_a_cache_without_an_index_is_searched_at_hand(
    index: Index, cache: Counted, make: Make, extra: int
) -> None:
    """The same as the cache itself would find, without asking it."""
    for name, summary in (("alpha", "Größe"), ("beta", "of the Straße"), ("gamma-ray", "%_")):
        await index.publish(make(name, summary=summary), ALICE)
    fillers = [
        (f"more-{number}", make_file("1", NormalizedName(f"more-{number}")))
        for number in range(extra)
    ]
    await cache.restore([make_project(name, file) for name, file in fillers], CHANGE)
    queries = [
        Query(names=("A",)),
        Query(names=("a", "m"), operator="and"),
        Query(summaries=("STRASSE", "grösse")),
        Query(names=("beta",), summaries=("%",)),
        Query(summaries=("nothing",)),
    ]
    for query in queries:
        for after in ("", "alpha", "beta"):
            for limit in (None, 0, 1):
                expected = await MemoryCache.search(cache, query, after=after, limit=limit)
                assert await index.search(query, after=after, limit=limit) == expected
