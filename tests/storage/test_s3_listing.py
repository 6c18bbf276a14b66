"""Listings of S3: in the order of the keys, by pages and segments, whatever order the store has."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app import errors
from app.storage import s3
from app.storage.s3 import listing
from app.testing.storage import listed
from tests.servers.s3_small import Asked, SmallStore, Told, small_store

URL = "s3://packages/index"
MANY = 6000


@pytest.fixture
def store() -> Iterator[SmallStore]:
    """A store whose order is chosen by the test."""
    with small_store() as store:
        yield store


def hold(store: SmallStore, keys: list[str]) -> None:
    """Let the store have these keys, and one on either side of them."""
    store.objects = {f"index/{key}": (b"", {}) for key in keys}
    store.objects |= {"inde": (b"", {}), "index0": (b"", {}), "index/": (b"", {})}


def journal(projects: int) -> list[str]:
    """MANY events of so many projects, the names of some of which begin those of others."""
    names = [f"p{n}{suffix}" for n in range(projects) for suffix in ("", "-x", ".y", "0")]
    return [f"journal/{names[n % projects]}/f{n}/0000000001.json" for n in range(MANY)]


def cases() -> dict[str, list[str]]:
    """Keys of several shapes."""
    some = random.Random(2)
    odd = ["a", "a-", "a-/b", "a/", "a.b", "a/b", "a/b-c", "a/b/c", "a0/b", "a~/b", "a/b.c/d", "b"]
    return {
        "few projects": journal(7),
        "one project": journal(1),
        "some projects": journal(300),
        "projects of one file": journal(MANY),
        "projects of very different size": [
            f"journal/{'large' if n % 3 else f'small{n}'}/{n:05}.json" for n in range(MANY)
        ],
        "no folders": [f"{n:05}" for n in range(MANY)],
        "odd": [f"{some.choice(odd)}/{some.choice(odd)}/{n % 1500}" for n in range(MANY)],
        "a page": [f"a/{n}" for n in range(1000)],
        "a page and one": [f"a/{n}" for n in range(1001)],
    }


@pytest.mark.parametrize("by_folder", [False, True])
@pytest.mark.parametrize("case", cases())
async def test_order(store: SmallStore, case: str, by_folder: bool) -> None:
    """Every key comes once, in the order of its characters; neighbours of the prefix do not."""
    store.by_folder = by_folder
    async with s3.connect(URL, store.options) as storage:
        keys = cases()[case]
        hold(store, keys)
        assert await listed(storage) == sorted(set(keys))
        beginnings = ("journal/", "journal/p1", "journal/p1/", "journal/large/", "a", "a/", "none")
        for prefix in beginnings:
            expected = sorted({key for key in keys if key.startswith(prefix)})
            store.asked.clear()
            assert await listed(storage, prefix) == expected
            assert len(store.asked) <= 100


async def test_segments_are_asked_for_at_once(store: SmallStore) -> None:
    """Of a large journal several pages are under way, and not many more than one by one."""
    async with s3.connect(URL, store.options) as storage:
        hold(store, journal(300))
        store.asked.clear()
        store.busiest = 0
        delayed = store.answer

        def late(asked: Asked) -> Told:
            time.sleep(0.03)  # as far away as such stores are
            return delayed(asked)

        store.answer = late  # type: ignore[method-assign]  # the server's own, slowed down
        assert len(await listed(storage, "journal/")) == MANY
    assert 4 <= store.busiest <= listing.ABREAST + 1
    assert len(store.asked) <= 2 * MANY / 1000 + 4


async def test_little_is_read_ahead(store: SmallStore) -> None:
    """Who stops early has not asked for everything, and nothing goes on behind their back."""
    async with s3.connect(URL, store.options) as storage:
        hold(store, [f"journal/p{n // 100:04}/{n:06}" for n in range(20_000)])
        store.asked.clear()
        scan: Any = storage.scan("journal/")
        for _ in range(1500):
            await anext(scan)
        await scan.aclose()
        await asyncio.sleep(0.3)  # whatever should go on by mistake has come by then
        assert len(store.asked) <= 2 + 2 * listing.ABREAST


async def test_a_store_without_order(store: SmallStore) -> None:
    """A store that lists in no order is not believed."""
    async with s3.connect(URL, store.options) as storage:
        hold(store, [f"a/{n:05}" for n in range(3000)])
        ordered = store.ordinary

        def shuffled(asked: Asked) -> Told | None:
            told = ordered(asked)
            if "start-after" not in asked.query and "continuation-token" not in asked.query:
                return told
            return told._replace(body=told.body.replace(b"a/02", b"a/00"))

        store.instead = shuffled
        with pytest.raises(errors.StorageUnavailable, match="out of their order"):
            await listed(storage)


async def test_listing_by_folder_is_found_out(store: SmallStore) -> None:
    """The start tries it, and leaves nothing behind."""
    store.by_folder = True
    async with s3.connect(URL, store.options) as storage:
        assert storage.by_folder
    store.by_folder = False
    async with s3.connect(URL, store.options) as storage:
        assert not storage.by_folder
    assert store.objects == {}
