"""A storage that PyPICloud filled is known by a page of its keys, until all of it is adopted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app import errors
from app.index import Index
from app.index.adopting_glance import ASKED, KEYS, told
from app.index.keep import keep
from app.models import Stored
from app.storage.memory import MemoryStorage
from app.upload.inspection import Inspectors, inspectors
from tests.index.adopting import adopt, put
from tests.index.places import ALICE, Make, Place
from tests.pypicloud import Layout, old_sdist, wheel


class Counted(MemoryStorage):
    """A storage that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.listed = 0
        self.heads = 0
        self.down = False

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        if self.down:
            raise errors.StorageUnavailable("the storage is down")
        async for stored in super().scan(prefix):
            self.listed += 1
            yield stored

    async def head(self, key: str) -> Stored | None:
        self.heads += 1
        return await super().head(key)


@pytest.fixture
def storage(place: Place) -> Counted:
    """The storage of the place."""
    place.storage = counted = Counted()
    return counted


@pytest.fixture
async def pool() -> AsyncIterator[Inspectors]:
    """Whatever looks into archives."""
    async with inspectors(count=1) as pool:
        yield pool


@pytest.mark.parametrize("layout", ["hashed", "plain", "oldest"])
async def test_files_that_wait_are_seen(place: Place, layout: Layout) -> None:
    """In every layout, one file is enough, and a key of such is named."""
    key = await put(place.storage, wheel("demo").key(layout), wheel("demo"))
    assert await place.index.unadopted() == key


async def test_what_waits_for_nothing(place: Place, make: Make) -> None:
    """An empty storage, one of our own files, and things that nobody would adopt, are silent."""
    index = place.index
    assert await index.unadopted() is None
    await index.publish(make(), ALICE)
    await place.storage.create("readme.txt", b"hello")
    await place.storage.create("demo/demo-1.0-py3-none-any.whl", b"")  # empty
    await place.storage.create("other/demo-2.0-py3-none-any.whl", b"of another folder")
    assert await index.unadopted() is None


async def test_once_adopted_there_is_nothing(place: Place, pool: Inspectors) -> None:
    """Old objects stay where they are; those that are adopted wait no more."""
    for number in range(3 * ASKED):
        old = old_sdist("demo", f"1.{number}")
        await put(place.storage, old.key(), old)
    index = place.index
    assert await index.unadopted() is not None
    await adopt(index, pool)
    assert await index.unadopted() is None


async def test_an_adoption_that_ended_early_is_seen(place: Place, pool: Inspectors) -> None:
    """Where the first keys are adopted and the last ones are not, some wait."""
    for number in range(3 * ASKED):
        old = old_sdist("demo", f"1.{number}")
        await put(place.storage, f"{number:04}/demo/{old.made.filename}", old)
    await adopt(place.index, pool, "000")
    await adopt(place.index, pool, "001")
    assert (await place.index.unadopted() or "").startswith("004")


async def test_it_costs_a_page(place: Place, storage: Counted, make: Make) -> None:
    """However much is there, a page is listed, and a few keys of it are asked for."""
    index = place.index
    for number in range(2 * KEYS):
        await storage.create(f"0/demo-{number:04}/{number}-1.0.zip", b"x")
    assert await index.unadopted() is None
    assert storage.listed == KEYS
    assert storage.heads <= ASKED


async def test_a_start_says_so(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The log has one line that names a file and the command."""
    key = await put(place.storage, wheel("demo").key(), wheel("demo"))
    with caplog.at_level(logging.WARNING):
        async with keep(place.index, reconcile_every=timedelta(hours=1)):
            async with asyncio.timeout(10):
                while told(key) not in caplog.messages:
                    await asyncio.sleep(0.01)
    assert "`pypicloud adopt`" in told(key)
    assert "\n" not in told("a\nb/demo-1.0.zip")


async def test_a_start_beside_a_storage_that_is_down(
    place: Place, storage: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    """What was not found out is said, and nothing else suffers."""
    storage.down = True
    with caplog.at_level(logging.WARNING):
        async with keep(Index(storage, place.cache), reconcile_every=timedelta(hours=1)):
            async with asyncio.timeout(10):
                while "was not found out: the storage is down" not in caplog.text:
                    await asyncio.sleep(0.01)
