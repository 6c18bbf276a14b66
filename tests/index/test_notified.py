"""Files that others put into the storage, or took from it, come into the cache when told of."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from app import errors
from app.index import Index
from app.index.notified import Heard
from app.storage.place import Place as InBucket
from tests.index.places import ALICE, Make, Place
from tests.index.test_flight import SOME, Counting, Fleet, fleet, memory
from tests.notices import shapes

__all__ = ["fleet"]


async def elsewhere(storage: Counting, make: Make, *versions: str, name: str = "demo") -> set[str]:
    """Publish by an index that has another cache; the keys that it wrote."""
    before = {stored.key async for stored in storage.scan()}
    away = Index(Counting(storage), await memory())
    await away.reindex()
    for version in versions:
        await away.publish(make(name, version), ALICE)
    return {stored.key async for stored in storage.scan()} - before


def told(*keys: str) -> bytes:
    """The plain body."""
    return json.dumps({"keys": keys}).encode()


async def listed(index: Index, make: Make, name: str = "demo") -> list[str]:
    """The versions that the index lists."""
    return [file.version for file in (await index.project(make(name).project)).published]


@SOME
async def test_what_another_site_wrote_is_listed(fleet: Fleet, make: Make) -> None:
    """Every key that was written, told in any order and twice: the project is there, once."""
    replica = await fleet.replica()
    await replica.index.reindex()
    keys = sorted(await elsewhere(fleet.storage, make, "1.0", "1.1"), reverse=True)
    with pytest.raises(errors.ProjectNotFound):
        await listed(replica.index, make)
    heard, _ = await replica.index.notified.hear(told(*keys, *keys))
    assert (heard.read, heard.repaired, heard.dropped) == (3, 1, 0)
    assert heard.ignored == 2 * (len(keys) - 3)
    assert await listed(replica.index, make) == ["1.0", "1.1"]
    heard, _ = await replica.index.notified.hear(told(*keys))
    assert (heard.read, heard.repaired) == (3, 0)


@SOME
async def test_what_somebody_removed_is_forgotten(fleet: Fleet, make: Make) -> None:
    """A file, then the project; but only where the storage says so as well."""
    replica = await fleet.replica()
    keys = await elsewhere(fleet.storage, make, "1.0", "1.1")
    await replica.index.reindex()
    hear = replica.index.notified.hear
    events = sorted(key for key in keys if key.startswith("journal/"))
    lie = json.dumps(shapes.s3(*events, removed=True)).encode()
    assert (await hear(lie))[0] == Heard(read=3)
    assert await listed(replica.index, make) == ["1.0", "1.1"]
    *_, last = events
    await fleet.storage.delete(last)
    assert (await hear(told(last)))[0] == Heard(read=1, dropped=1)
    assert await listed(replica.index, make) == ["1.0"]
    for key in events:
        await fleet.storage.delete(key)
    assert (await hear(told(events[0])))[0] == Heard(read=1, dropped=1)
    with pytest.raises(errors.ProjectNotFound):
        await listed(replica.index, make)


async def test_our_own_writes_cost_nothing_of_the_storage(place: Place, make: Make) -> None:
    """An event that the cache has is known to it; a later one of the same file is not."""
    storage = Counting(place.storage)  # type: ignore[arg-type]  # it is in memory
    index = Index(storage, place.cache)
    file = (await index.publish(make("demo"), ALICE)).file
    events = [key async for key in keys_of(storage, "journal/")]
    storage.reads.clear()
    heard, _ = await index.notified.hear(json.dumps(shapes.s3(*events)).encode())
    assert heard == Heard(known=2)
    assert not storage.reads
    later = f"journal/demo/{file.filename}/0000000002.json"
    heard, _ = await index.notified.hear(json.dumps(shapes.s3(later)).encode())
    assert heard == Heard(read=1)


async def keys_of(storage: Counting, prefix: str) -> AsyncIterator[str]:
    """The keys below a prefix."""
    async for stored in storage.scan(prefix):
        yield stored.key


async def test_a_burst_is_read_once_or_twice(make: Make) -> None:
    """However many notices of a project come while it is read, they share the next reading."""
    storage = Counting()
    index = Index(storage, await memory())
    await index.reindex()
    keys = await elsewhere(storage, make, *(f"1.{number}" for number in range(8)))
    events = [key for key in keys if key.startswith("journal/")]
    storage.pause = 0.01
    notices = [index.notified.hear(told(key)) for key in events * 5]
    heard = [one for one, _ in await asyncio.gather(*notices)]
    assert sum(one.repaired for one in heard) == 1
    assert sum(storage.reads.values()) <= 2 * len(events)
    assert len(await listed(index, make)) == 8


async def test_a_cache_that_is_not_complete_hears_nothing(place: Place, make: Make) -> None:
    """It is told again: a build that passed by a project would have missed it."""
    await place.index.publish(make("demo"), ALICE)
    await place.cache.clear()
    with pytest.raises(errors.IndexNotReady):
        await place.index.notified.hear(told("journal/demo/@project/0000000001.json"))
    assert await place.cache.projects() == []


async def test_prefix_and_bucket_say_what_is_ours(make: Make) -> None:
    """Keys of another prefix or another bucket are ignored, and counted."""
    storage = Counting()
    index = Index(storage, await memory(), place=InBucket("packages", "site/"))
    await index.reindex()
    await elsewhere(storage, make, "1.0")
    key = "journal/demo/@project/0000000001.json"
    for body in (
        shapes.s3(key),
        shapes.s3(f"other/{key}"),
        shapes.s3(f"site/{key}", bucket="another"),
    ):
        heard, _ = await index.notified.hear(json.dumps(body).encode())
        assert heard == Heard(ignored=1)
    heard, _ = await index.notified.hear(json.dumps(shapes.event_grid(f"site/{key}")).encode())
    assert heard == Heard(read=1, repaired=1)
    assert index.notified.total == Heard(ignored=3, read=1, repaired=1)


@pytest.mark.parametrize(
    "key",
    [
        "journal/Demo/@project/0000000001.json",
        "journal/../@project/0000000001.json",
        "journal/demo/../0000000001.json",
        "journal/demo/.hidden/0000000001.json",
        "journal/demo/@project/1.json",
        "journal/demo/@project/0000000001.json\n",
        "journal/demo/0000000001.json",
        "journal/\u017f/@project/0000000001.json",
        "/journal/demo/@project/0000000001.json",
        "leases/begin/0000000001.json",
        "pending/x",
        "",
        "\0",
    ],
)
async def test_keys_that_are_no_events_are_ignored(place: Place, key: str) -> None:
    """Whatever they look like: no key reaches the storage that we did not make."""
    assert (await place.index.notified.hear(told(key)))[0] == Heard(ignored=1)


async def test_files_of_a_former_index_are_named(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in a while the log says that they wait for being adopted."""
    old = json.dumps(shapes.s3("c7a3/demo/demo-1.0-py3-none-any.whl", "demo/demo-1.0.tar.gz"))
    notified = place.index.notified
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            heard, _ = await notified.hear(old.encode())
            assert heard == Heard(unadopted=2)
    assert caplog.text.count("pypicloud adopt") == 1
    assert notified.total == Heard(unadopted=6)


async def test_a_broken_journal_is_counted_and_spares_the_rest(make: Make) -> None:
    """The other files of its project come in all the same."""
    storage = Counting()
    index = Index(storage, await memory())
    await index.reindex()
    keys = await elsewhere(storage, make, "1.0", "1.1")
    broken = next(key for key in sorted(keys) if "demo-1.0-" in key and "journal" in key)
    await storage.delete(broken)
    await storage.create(broken, b"{not json")
    heard, _ = await index.notified.hear(told(broken))
    assert (heard.broken, heard.repaired) == (1, 1)
    assert await listed(index, make) == ["1.1"]
