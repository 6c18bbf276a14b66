"""What ``get``, ``head`` and ``url`` promise."""

from datetime import UTC, datetime, timedelta

import pytest

from app import errors
from app.storage.base import Storage, read
from app.testing.storage.keys import content, listed, put


class Reading:
    """Reads: what there is, or KeyNotFound; never a lie."""

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
