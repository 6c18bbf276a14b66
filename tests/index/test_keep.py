"""What runs beside the answers goes on, whatever goes wrong once."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Query
from app.index.keep import keep
from tests.index.places import ALICE, Make, Place


async def test_i15_a_defect_does_not_end_the_reconciler(
    place: Place, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A record too long to be a marker is logged, and later rounds run and heal all the same."""
    await place.index.publish(make(), ALICE)
    strange = "pending/00000000T00/strange.json"
    await place.storage.create(strange, b"x" * (1 << 17))
    with caplog.at_level(logging.ERROR):
        async with keep(place.index, reconcile_every=timedelta(milliseconds=10)):
            async with asyncio.timeout(10):
                while caplog.text.count("will be tried again") < 2:
                    await asyncio.sleep(0.01)
    assert "longer than" in caplog.text


async def test_a_cache_that_lost_its_memory_is_built_again(place: Place, make: Make) -> None:
    """Whenever a cache says that it is not built, it is, without a restart."""
    index = place.index
    await index.publish(make(), ALICE)
    async with keep(index, reconcile_every=timedelta(hours=1)):
        async with asyncio.timeout(10):
            for _ in range(2):
                await place.cache.clear()
                while not await index.ready():
                    await asyncio.sleep(0.01)
                assert [line.name for line in await place.cache.projects()] == ["demo-pkg"]


async def test_a_cleared_cache_makes_no_name_free(place: Place, make: Make) -> None:
    """Who was told that the cache is built asks again before a name counts as unknown."""
    index = place.index
    await index.publish(make(), ALICE)
    await index.follower.poll()
    with pytest.raises(errors.ProjectNotFound):
        await index.project(NormalizedName("nobody"))
    await place.cache.clear()
    for _ in range(2):
        with pytest.raises(errors.IndexNotReady):
            await index.projects()
        with pytest.raises(errors.IndexNotReady):
            await index.search(Query(names=("demo",)))
        with pytest.raises(errors.IndexNotReady):
            await index.project(NormalizedName("demo-pkg"))
        with pytest.raises(errors.IndexNotReady):
            await index.file(NormalizedName("demo-pkg"), "demo_pkg-1.0-py3-none-any.whl")
    await index.reindex()
    assert (await index.project(NormalizedName("demo-pkg"))).exists


async def test_old_changes_go(place: Place, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running service has the cache list no more than the last changes, and how it began."""
    monkeypatch.setattr("app.index.keep.PRUNE_FIRST", timedelta(0))
    index = place.index
    for version in range(5):
        await index.publish(make(version=str(version)), ALICE)
    async with keep(index, reconcile_every=timedelta(hours=1), changes_kept=2):
        async with asyncio.timeout(10):
            while len(await index.history.changes(0)) != 4:
                await asyncio.sleep(0.01)
    actions = [change.action for change in await index.history.changes(0)]
    assert actions == ["begin", "pruned", "publish", "publish"]
    assert await index.ready()
