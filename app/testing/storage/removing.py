"""What ``delete`` and ``delete_many`` promise."""

import asyncio

import pytest

from app import errors
from app.storage.base import Storage
from app.testing.storage.keys import (
    ODD_KEYS,
    content,
    listed,
    put,
)


class Removing:
    """Removals: gone for good, beside whatever happens to the neighbours."""

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
