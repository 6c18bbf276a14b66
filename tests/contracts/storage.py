"""The contract of app.storage.base.Storage.

A backend's tests subclass StorageContract and provide a fixture ``storage``, empty at the
start of each test. A backend whose keys outlive the process subclasses LastingContract too,
with a fixture ``url`` of an empty storage and ``options`` of ``connect``; these are JSON, for
they are handed to other processes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from app import errors, plugins
from app.storage.base import Storage, read

LIMIT = 2**20

ODD_KEYS = (
    "a",
    "blobs/x/1.0+local.1/x-1.0+local.1-py3-none-any.whl",
    "blobs/x/1!2.0/x-1!2.0.tar.gz",
    "journal/x/@project/0000000001.json",
    "odd/~tilde/-dash/_under/a..b/...dots/.hidden/comma,semi;colon:percent%2Fquote'",
    'odd/with a space/(parentheses)/[brackets]/{braces}=&$#?*|<>^`"',
    f"long/{'n' * 255}/{'m' * 255}",
)

INVALID_KEYS = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a/./b",
    "a/..",
    ".tmp/a",
    ".a",
    "a\0b",
    "a\nb",
    "a\\b",
    "a\x7fb",
    "ä",
    "a/\u0430",
    f"a/{'n' * 256}",
    "/".join(["n" * 200] * 6),
)

INVALID_PREFIXES = ("/", "..", "../", "a//", "a/../", ".tmp/", "ä", "a\0", "a\\", "n" * 256)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """The parts, one after the other."""
    for part in parts:
        yield part


async def put(
    storage: Storage, key: str, *parts: bytes, metadata: Mapping[str, str] | None = None
) -> None:
    """Put the joined parts, with the size and the sha256 that they have."""
    content = b"".join(parts)
    sha256 = hashlib.sha256(content).hexdigest()
    await storage.put(key, chunks(*parts), size=len(content), sha256=sha256, metadata=metadata)


async def content(storage: Storage, key: str, *, start: int = 0, end: int | None = None) -> bytes:
    """The bytes of a key or of a range of it."""
    return b"".join([chunk async for chunk in storage.get(key, start=start, end=end)])


async def listed(storage: Storage, prefix: str = "") -> list[str]:
    """The keys that a scan finds, as it orders them."""
    return [stored.key async for stored in storage.scan(prefix)]


class StorageContract:
    """What every storage promises."""

    async def test_create_writes_once(self, storage: Storage) -> None:
        """The first create of a key wins; a second changes nothing and says so."""
        assert await storage.create("a/b", b"first")
        assert not await storage.create("a/b", b"second")
        assert not await storage.create("a/b", b"first")
        assert await content(storage, "a/b") == b"first"

    async def test_create_raced(self, storage: Storage) -> None:
        """Of racing creates exactly one wins, and the bytes are its own."""
        for round_ in range(20):
            key = f"race/{round_}/event"
            created = await asyncio.gather(*(storage.create(key, b"%d" % n) for n in range(8)))
            assert created.count(True) == 1
            assert await content(storage, key) == b"%d" % created.index(True)

    async def test_create_after_delete(self, storage: Storage) -> None:
        """A deleted key can be created anew."""
        assert await storage.create("a/b", b"old")
        await storage.delete("a/b")
        assert await storage.create("a/b", b"new")
        assert await content(storage, "a/b") == b"new"

    async def test_create_of_a_key_that_was_put(self, storage: Storage) -> None:
        """Create sees what put wrote."""
        await put(storage, "a/b", b"put")
        assert not await storage.create("a/b", b"created")
        assert await content(storage, "a/b") == b"put"

    async def test_put_replaces(self, storage: Storage) -> None:
        """A put replaces what was there, whoever wrote it."""
        assert await storage.create("a/b", b"created")
        await put(storage, "a/b", b"put")
        await put(storage, "a/b", b"put ", b"again")
        assert await content(storage, "a/b") == b"put again"

    @pytest.mark.parametrize("parts", [(), (b"",), (b"a",), (b"", b"a", b"", b"b")])
    async def test_put_takes_any_chunks(self, storage: Storage, parts: tuple[bytes, ...]) -> None:
        """No bytes, empty chunks and single ones are all put."""
        await put(storage, "a/b", *parts)
        assert await content(storage, "a/b") == b"".join(parts)
        found = await storage.head("a/b")
        assert found is not None
        assert found.size == len(b"".join(parts))

    async def test_put_of_many_chunks(self, storage: Storage) -> None:
        """Several megabytes in uneven chunks come back as they were."""
        parts = [bytes([n % 251]) * (1 + n * 7919 % 200_000) for n in range(60)]
        await put(storage, "a/b", *parts)
        assert await content(storage, "a/b") == b"".join(parts)

    @pytest.mark.parametrize("before", [None, b"before"])
    @pytest.mark.parametrize("large", [False, True])
    async def test_put_with_a_raising_iterator(
        self, storage: Storage, before: bytes | None, large: bool
    ) -> None:
        """A put whose source breaks off raises its error and leaves the key as it was."""

        async def breaking() -> AsyncIterator[bytes]:
            yield b"x" * (3 * 2**20 if large else 3)
            raise ConnectionResetError("the client went away")

        await self._prepare(storage, before)
        with pytest.raises(ConnectionResetError):
            await storage.put("a/b", breaking(), size=2**23, sha256="0" * 64)
        await self._unchanged(storage, before)

    @pytest.mark.parametrize("before", [None, b"before"])
    @pytest.mark.parametrize(
        ("size", "sha256"),
        [
            (7, hashlib.sha256(b"content").hexdigest()[::-1]),
            (6, hashlib.sha256(b"content").hexdigest()),
            (8, hashlib.sha256(b"content").hexdigest()),
            (6, hashlib.sha256(b"conten").hexdigest()),
            (0, hashlib.sha256(b"").hexdigest()),
        ],
    )
    async def test_put_of_other_bytes(
        self, storage: Storage, before: bytes | None, size: int, sha256: str
    ) -> None:
        """Bytes without the promised size and sha256 are refused, and the key stays as it was."""
        await self._prepare(storage, before)
        with pytest.raises(errors.BlobDamaged):
            await storage.put("a/b", chunks(b"con", b"tent"), size=size, sha256=sha256)
        await self._unchanged(storage, before)

    async def test_put_stops_reading_what_is_too_long(self, storage: Storage) -> None:
        """A source that never ends is refused soon after the promised size."""

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 2**16

        with pytest.raises(errors.BlobDamaged):
            await storage.put("a/b", endless(), size=2**17, sha256="0" * 64)
        await self._unchanged(storage, None)

    @pytest.mark.parametrize("before", [None, b"before"])
    async def test_put_cancelled_while_it_waits(
        self, storage: Storage, before: bytes | None
    ) -> None:
        """A put that is cancelled between two chunks leaves the key as it was."""
        waiting = asyncio.Event()

        async def hanging() -> AsyncIterator[bytes]:
            yield b"x" * 2**21
            waiting.set()
            await asyncio.Event().wait()

        await self._prepare(storage, before)
        task = asyncio.create_task(storage.put("a/b", hanging(), size=2**22, sha256="0" * 64))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await self._unchanged(storage, before)

    async def test_put_cancelled_before_its_source_hangs(self, storage: Storage) -> None:
        """However far a put has come, a cancellation ends it: it waits for no further chunk."""

        async def hanging() -> AsyncIterator[bytes]:
            for _ in range(9):
                yield b"x" * 2**20
            await asyncio.Event().wait()

        for steps in range(8):
            task = asyncio.create_task(storage.put("a/b", hanging(), size=2**24, sha256="0" * 64))
            await asyncio.sleep(0.002 * steps)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(20):
                    await task
        await self._unchanged(storage, None)

    @pytest.mark.parametrize("before", [None, b"before"])
    async def test_put_cancelled_at_any_time(self, storage: Storage, before: bytes | None) -> None:
        """A put that raises CancelledError changed nothing; one that does not is whole."""
        part = b"x" * 2**20
        sha256 = hashlib.sha256(part * 2).hexdigest()
        await self._prepare(storage, before)
        for steps in range(40):
            task = asyncio.create_task(self._put_two(storage, part, sha256))
            for _ in range(steps):
                await asyncio.sleep(0.0002)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                await self._unchanged(storage, before)
            else:
                assert await content(storage, "a/b") == part * 2
                await storage.delete("a/b")
                await self._prepare(storage, before)

    async def test_put_raced(self, storage: Storage) -> None:
        """Readers beside writers see one of the written contents, whole."""
        contents = [bytes([n]) * (2**20 + n) for n in range(4)]
        await put(storage, "a/b", contents[0])

        async def write(whole: bytes) -> None:
            for _ in range(5):
                await put(storage, "a/b", whole)

        async def look() -> None:
            for _ in range(15):
                assert await content(storage, "a/b") in contents
                found = await storage.head("a/b")
                assert found is not None
                assert found.size in {len(whole) for whole in contents}

        await asyncio.gather(*map(write, contents), look(), look())

    async def test_get_begun_before_a_change(self, storage: Storage) -> None:
        """A get under way when its key is replaced gives the old bytes, or raises."""
        old = bytes(range(256)) * 2**14
        await put(storage, "a/b", old)
        body = storage.get("a/b")
        seen = await anext(body)
        await put(storage, "a/b", b"new")
        try:
            seen += b"".join([chunk async for chunk in body])
        except errors.PypicloudError:
            return
        assert seen == old

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            *[(0, None), (0, 10), (3, 7), (3, None), (9, 10), (0, 0), (5, 5), (7, 3)],
            *[(0, 11), (5, 2**40), (10, None), (11, None), (2**40, None), (2**40, 2**41)],
        ],
    )
    async def test_get_ranges(self, storage: Storage, start: int, end: int | None) -> None:
        """A range gives what there is between its ends; beyond the last byte is nothing."""
        await put(storage, "a/b", b"0123456789")
        assert await content(storage, "a/b", start=start, end=end) == b"0123456789"[start:end]

    async def test_get_ranges_of_a_large_key(self, storage: Storage) -> None:
        """Ranges that cross the backend's chunks have no gap and no overlap."""
        whole = b"".join(n.to_bytes(4, "big") for n in range(2**20))
        await put(storage, "a/b", whole)
        for start, end in [(0, 2**20), (2**20 - 1, 2**20 + 1), (5, 3 * 2**20 + 7), (2**21, None)]:
            assert await content(storage, "a/b", start=start, end=end) == whole[start:end]

    @pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1), (-3, -1)])
    async def test_get_of_negative_ranges(
        self, storage: Storage, start: int, end: int | None
    ) -> None:
        """A range that counts from before the first byte is a programming error."""
        await put(storage, "a/b", b"content")
        with pytest.raises(ValueError, match="range"):
            await content(storage, "a/b", start=start, end=end)

    @pytest.mark.parametrize("key", ["a", "a/b", "a/b/c", "a/b/c/d", "x/y/z"])
    async def test_missing_keys(self, storage: Storage, key: str) -> None:
        """A key that is not there is not found, its range neither, even beside others."""
        await put(storage, "a/b/c/e", b"another")
        with pytest.raises(errors.KeyNotFound):
            await anext(storage.get(key))
        with pytest.raises(errors.KeyNotFound):
            await anext(storage.get(key, start=5, end=5))
        assert await storage.head(key) is None
        await storage.delete(key)
        assert await listed(storage) == ["a/b/c/e"]

    async def test_keys_below_a_key_are_missing(self, storage: Storage) -> None:
        """Nothing is found below a key, as if it were a folder."""
        await put(storage, "a/b", b"content")
        with pytest.raises(errors.KeyNotFound):
            await anext(storage.get("a/b/c"))
        assert await storage.head("a/b/c") is None
        await storage.delete("a/b/c")
        assert await listed(storage, "a/b/") == []
        assert await content(storage, "a/b") == b"content"

    async def test_read_of_a_small_key(self, storage: Storage) -> None:
        """A small key is read whole, and one above the limit is refused."""
        await put(storage, "a/b", b"12345")
        assert await read(storage, "a/b", limit=5) == b"12345"
        with pytest.raises(ValueError, match="longer than 4"):
            await read(storage, "a/b", limit=4)

    async def test_head(self, storage: Storage) -> None:
        """Head and scan tell the same: size, an aware time about now, and the etag."""
        before = datetime.now(UTC) - timedelta(seconds=5)
        await put(storage, "a/b", b"content")
        found = await storage.head("a/b")
        assert found is not None
        assert (found.key, found.size) == ("a/b", 7)
        assert before <= found.modified <= datetime.now(UTC) + timedelta(seconds=5)
        assert found.modified.utcoffset() == timedelta(0)
        [scanned] = [stored async for stored in storage.scan()]
        assert (scanned.key, scanned.size, scanned.etag) == ("a/b", 7, found.etag)

    async def test_etag_changes_with_the_bytes(self, storage: Storage) -> None:
        """Where there is an etag, other bytes of the same length have another."""
        await put(storage, "a/b", b"first")
        first = await storage.head("a/b")
        assert await storage.head("a/b") == first
        await put(storage, "a/b", b"other")
        other = await storage.head("a/b")
        assert first is not None
        assert other is not None
        assert first.etag is None or first.etag != other.etag

    async def test_metadata_is_kept_whole_or_not_at_all(self, storage: Storage) -> None:
        """User metadata comes back as it was given, whatever its characters, or not at all."""
        given = {"name": "Großes Paket ✓ 日本", "summary": 'quotes " and = and %20', "empty": ""}
        await put(storage, "a/b", b"content", metadata=given)
        found = await storage.head("a/b")
        assert found is not None
        assert dict(found.metadata) in ({}, given)
        await put(storage, "a/b", b"content")
        found = await storage.head("a/b")
        assert found is not None
        assert dict(found.metadata) == {}

    async def test_url(self, storage: Storage) -> None:
        """There is a URL or there is none; asking neither needs nor makes the key."""
        url = await storage.url("a/b.whl", filename="b.whl", expires_in=timedelta(minutes=5))
        assert url is None or url.startswith(("https://", "http://"))
        assert await storage.head("a/b.whl") is None

    async def test_delete(self, storage: Storage) -> None:
        """A deleted key is gone, its neighbours stay, and deleting it again succeeds."""
        for key in ("a/b/1", "a/b/2", "a/c"):
            await put(storage, key, key.encode())
        await storage.delete("a/b/1")
        await storage.delete("a/b/1")
        assert await storage.head("a/b/1") is None
        with pytest.raises(errors.KeyNotFound):
            await anext(storage.get("a/b/1"))
        assert await listed(storage) == ["a/b/2", "a/c"]
        await storage.delete("a/b/2")
        await storage.delete("a/c")
        assert await listed(storage) == []

    async def test_delete_many(self, storage: Storage) -> None:
        """Many keys go at once, missing and repeated ones too, and the others stay."""
        names = [f"a/{n:04}/key" for n in range(1200)]
        pending = iter(names)

        async def write() -> None:
            for key in pending:
                assert await storage.create(key, b"")

        await asyncio.gather(*(write() for _ in range(16)))
        await storage.delete_many([])
        await storage.delete_many([*names[1:], names[1], "a/missing", "missing"])
        assert await listed(storage) == names[:1]

    @pytest.mark.parametrize("key", ODD_KEYS)
    async def test_delete_many_of_odd_keys(self, storage: Storage, key: str) -> None:
        """Every key of the grammar can be removed among others."""
        for each in (key, "other/1", "other/2"):
            assert await storage.create(each, b"")
        await storage.delete_many([key, "other/1"])
        assert await listed(storage) == ["other/2"]

    async def test_create_beside_deletes(self, storage: Storage) -> None:
        """No create fails or gets lost while its neighbours are created and deleted."""

        async def churn(worker: int) -> None:
            for turn in range(20):
                key = f"pending/{turn % 2}/deep/{worker}"
                assert await storage.create(key, b"marker")
                assert await content(storage, key) == b"marker"
                await storage.delete(key)
            assert await storage.create(f"pending/0/deep/{worker}-kept", b"kept")

        await asyncio.gather(*map(churn, range(8)))
        assert await listed(storage) == [f"pending/0/deep/{worker}-kept" for worker in range(8)]

    async def test_put_beside_deletes(self, storage: Storage) -> None:
        """No put fails or gets lost while its neighbours are put and deleted."""

        async def churn(worker: int) -> None:
            for turn in range(10):
                key = f"blobs/x/{turn % 2}/{worker}"
                await put(storage, key, b"content")
                await storage.delete(key)
            await put(storage, f"blobs/x/0/{worker}", b"kept")

        await asyncio.gather(*map(churn, range(8)))
        assert await listed(storage) == [f"blobs/x/0/{worker}" for worker in range(8)]

    async def test_scan_order(self, storage: Storage) -> None:
        """Keys come in the order of their characters, slashes counting as such."""
        keys = ["a-b/x", "a.b", "a/x", "a/x-", "a/x.y/z", "a0", "aa/b", "a/x0/b", "b/c/d", "B/c"]
        keys += ["journal/a+/1", "journal/a/1", "journal/a-b/1", "journal/a.b/1", "journal/a~"]
        for key in keys:
            assert await storage.create(key, b"")
        assert await listed(storage) == sorted(keys)

    @pytest.mark.parametrize(
        "prefix",
        [
            "a",
            "a/",
            "a/b",
            "a/b/",
            "a/b/c",
            "a/b-",
            "a/bc",
            "a/b/c/",
            "a-",
            "b",
            "a/b.",
            "a/.",
            "~",
        ],
    )
    async def test_scan_prefix(self, storage: Storage, prefix: str) -> None:
        """A prefix is a plain beginning of the key, wherever it stops."""
        keys = ["a-b", "a/b-c/d", "a/b.c", "a/b/c", "a/b/cd/e", "a/bc/d", "a/.hidden", "ab/c"]
        for key in keys:
            assert await storage.create(key, b"")
        assert await listed(storage, prefix) == sorted(k for k in keys if k.startswith(prefix))

    async def test_scan_of_nothing(self, storage: Storage) -> None:
        """An empty storage, and a prefix that no key has, give nothing."""
        assert await listed(storage) == []
        assert await listed(storage, "a/b/c") == []

    async def test_scan_of_many(self, storage: Storage) -> None:
        """A scan gives all of five thousand keys, in order, with none twice."""
        keys = [f"journal/p{n % 50}/f{n}/0000000001.json" for n in range(5000)]
        pending = iter(keys)

        async def write() -> None:
            for key in pending:
                assert await storage.create(key, b"{}")

        await asyncio.gather(*(write() for _ in range(32)))
        assert await listed(storage) == sorted(keys)
        assert await listed(storage, "journal/p7/") == sorted(k for k in keys if "/p7/" in k)

    async def test_scan_beside_changes(self, storage: Storage) -> None:
        """A scan sees each lasting key once and in order, whatever comes and goes."""
        lasting = sorted(f"a/{n % 7}/{n:03}/key" for n in range(200))
        for key in lasting:
            assert await storage.create(key, b"")
        done = asyncio.Event()

        async def churn(worker: int) -> None:
            turn = 0
            while not done.is_set():
                key = f"a/{turn % 9}/{turn % 200:03}/{worker}"
                await storage.create(key, b"")
                await storage.delete(key)
                await asyncio.sleep(0)
                turn += 1

        async def look() -> None:
            for _ in range(10):
                seen = await listed(storage, "a/")
                assert all(one < next_ for one, next_ in pairwise(seen))
                assert [key for key in seen if key.endswith("/key")] == lasting
            done.set()

        await asyncio.gather(churn(1), churn(2), look())

    async def test_scan_left_early(self, storage: Storage) -> None:
        """A scan that nobody reads to its end can simply be left."""
        for n in range(20):
            assert await storage.create(f"a/{n:02}", b"")
        async for stored in storage.scan("a/"):
            assert stored.key == "a/00"
            break

    @pytest.mark.parametrize("key", ODD_KEYS)
    async def test_odd_keys(self, storage: Storage, key: str) -> None:
        """Every key of the grammar can be written, read, listed and deleted."""
        assert await storage.create(key, b"created")
        await put(storage, key, b"put")
        assert await content(storage, key) == b"put"
        found = await storage.head(key)
        assert found is not None
        assert found.key == key
        assert await listed(storage) == [key]
        assert await listed(storage, key[: len(key) // 2]) == [key]
        await storage.delete(key)
        assert await listed(storage) == []

    async def test_case_counts(self, storage: Storage) -> None:
        """Keys that differ only in case are two keys."""
        assert await storage.create("a/Key", b"upper")
        assert await storage.create("a/key", b"lower")
        assert await content(storage, "a/Key") == b"upper"
        assert await content(storage, "a/key") == b"lower"

    @pytest.mark.parametrize("key", INVALID_KEYS)
    async def test_invalid_keys(self, storage: Storage, key: str) -> None:
        """What is no key is refused by every method as a programming error."""
        with pytest.raises(ValueError, match="key"):
            await storage.create(key, b"")
        with pytest.raises(ValueError, match="key"):
            await put(storage, key, b"")
        with pytest.raises(ValueError, match="key"):
            await anext(storage.get(key))
        with pytest.raises(ValueError, match="key"):
            await storage.head(key)
        with pytest.raises(ValueError, match="key"):
            await storage.url(key, filename="a", expires_in=timedelta(minutes=5))
        with pytest.raises(ValueError, match="key"):
            await storage.delete(key)
        assert await storage.create("a/b", b"")
        with pytest.raises(ValueError, match="key"):
            await storage.delete_many(["a/b", key])
        assert await listed(storage) == ["a/b"]

    @pytest.mark.parametrize("prefix", INVALID_PREFIXES)
    async def test_invalid_prefixes(self, storage: Storage, prefix: str) -> None:
        """A prefix that no key can have is refused as a programming error."""
        with pytest.raises(ValueError, match="key"):
            await listed(storage, prefix)

    async def _put_two(self, storage: Storage, part: bytes, sha256: str) -> None:
        await storage.put("a/b", chunks(part, part), size=2 * len(part), sha256=sha256)

    async def _prepare(self, storage: Storage, before: bytes | None) -> None:
        if before is not None:
            await put(storage, "a/b", before)

    async def _unchanged(self, storage: Storage, before: bytes | None) -> None:
        assert await listed(storage) == ([] if before is None else ["a/b"])
        if before is None:
            assert await storage.head("a/b") is None
        else:
            assert await content(storage, "a/b") == before


class LastingContract:
    """What a storage promises further whose keys outlive the process."""

    async def test_keys_last(self, url: str, options: Mapping[str, Any]) -> None:
        """What was written is there when the storage is opened again."""
        connect = plugins.backend("storage", url)
        async with connect(url, options) as storage:
            assert await storage.create("a/created", b"created")
            await put(storage, "a/put", b"put")
        async with connect(url, options) as storage:
            assert await listed(storage) == ["a/created", "a/put"]
            assert await content(storage, "a/created") == b"created"
            assert not await storage.create("a/created", b"again")

    async def test_two_connections(self, url: str, options: Mapping[str, Any]) -> None:
        """What one process writes or deletes, another that is open sees at once."""
        connect = plugins.backend("storage", url)
        async with connect(url, options) as one, connect(url, options) as other:
            for turn in range(5):
                assert await one.create("a/b/c", b"%d" % turn)
                assert not await other.create("a/b/c", b"")
                assert await content(other, "a/b/c") == b"%d" % turn
                await other.delete("a/b/c")
                assert await one.head("a/b/c") is None

    async def test_create_raced_by_processes(self, url: str, options: Mapping[str, Any]) -> None:
        """Of processes that race to create a key exactly one wins, and the bytes are its own."""
        racers = [await self._racer(url, options, f"racer {n}") for n in range(4)]
        connect = plugins.backend("storage", url)
        async with connect(url, options) as storage:
            for round_ in range(20):
                key = f"race/{round_}/event"
                answers = await asyncio.gather(*(self._ask(racer, key) for racer in racers))
                assert answers.count("True") == 1
                assert await content(storage, key) == b"racer %d" % answers.index("True")
        for racer in racers:
            _, complaint = await racer.communicate(b"")
            assert (racer.returncode, complaint) == (0, b"")

    async def test_memory_is_bounded(self, url: str, options: Mapping[str, Any]) -> None:
        """However long a key is, a few megabytes are enough to put and get it."""
        part = bytes(2**18)
        count = 256
        whole = hashlib.sha256()
        for _ in range(count):
            whole.update(part)

        async with plugins.backend("storage", url)(url, options) as storage:
            tracemalloc.start()
            try:
                await storage.put(
                    "a/b",
                    chunks(*[part] * count),
                    size=count * len(part),
                    sha256=whole.hexdigest(),
                )
                length = 0
                async for chunk in storage.get("a/b"):
                    length += len(chunk)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert length == count * len(part)
        assert peak < length / 2

    async def _racer(
        self, url: str, options: Mapping[str, Any], content: str
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.contracts.racer",
            url,
            json.dumps(dict(options)),
            content,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _ask(self, racer: asyncio.subprocess.Process, key: str) -> str:
        assert racer.stdin is not None
        assert racer.stdout is not None
        racer.stdin.write(f"{key}\n".encode())
        return (await racer.stdout.readline()).decode().strip()
