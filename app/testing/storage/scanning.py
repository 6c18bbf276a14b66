"""What ``scan`` promises, and which keys there are."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from app.storage.base import Storage
from app.testing.storage.keys import (
    INVALID_KEYS,
    INVALID_PREFIXES,
    ODD_KEYS,
    content,
    listed,
    put,
)


class Scanning:
    """Scans: every lasting key once, in order; keys of one grammar everywhere."""

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
        """A scan gives all keys, three pages of a thousand, in order, with none twice."""
        keys = [f"journal/p{n % 50}/f{n}/0000000001.json" for n in range(2500)]
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
