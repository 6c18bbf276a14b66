"""A store without create-only writes is found out at the start."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from app import errors
from app.storage.memory import MemoryStorage
from app.storage.probe import ROOT, require_create_only
from app.testing.storage import listed


@dataclass
class Careless(MemoryStorage):
    """A store that does not know the header: it writes, and says that it did."""

    async def create(self, key: str, content: bytes) -> bool:
        await self.delete(key)
        return await MemoryStorage.create(self, key, content)


@dataclass
class Hasty(MemoryStorage):
    """A store that looks first and writes then, so that racers overtake each other."""

    async def create(self, key: str, content: bytes) -> bool:
        free = await self.head(key) is None
        await asyncio.sleep(0)
        if free:
            await self.delete(key)
            await MemoryStorage.create(self, key, content)
        return free


@dataclass
class ReadOnly(MemoryStorage):
    """A store where nothing can be created."""

    async def create(self, key: str, content: bytes) -> bool:
        return False


@dataclass
class Broken(MemoryStorage):
    """A store that fails for the first racer, while the others go on."""

    finished: int = 0

    async def create(self, key: str, content: bytes) -> bool:
        if content == b"0":
            raise errors.StorageUnavailable("down")
        await asyncio.sleep(0.01)
        self.finished += 1
        return await MemoryStorage.create(self, key, content)


@dataclass
class Keeping(MemoryStorage):
    """A store that keeps everything for ever."""

    async def delete(self, key: str) -> None:
        raise errors.StorageUnavailable("retained")


async def test_a_store_that_keeps_the_promise() -> None:
    """One racer wins, and the key goes again."""
    storage = MemoryStorage()
    await require_create_only(storage, "The bucket 'packages'")
    assert await listed(storage) == []


@pytest.mark.parametrize(
    ("storage", "winners"), [(Careless(), 4), (Hasty(), 4), (ReadOnly(), 0)], ids=type
)
async def test_a_store_that_does_not(storage: MemoryStorage, winners: int) -> None:
    """Where not exactly one racer wins, the start says so in one line; the key goes as well."""
    line = rf"^The bucket 'packages' does not keep create-only writes \({winners} of 4 racers.*$"
    with pytest.raises(errors.Misconfigured, match=line):
        await require_create_only(storage, "The bucket 'packages'")
    assert await listed(storage) == []


async def test_a_store_that_fails() -> None:
    """The failure is raised once nothing is under way any more, and no key is left."""
    storage = Broken()
    with pytest.raises(errors.StorageUnavailable, match="down"):
        await require_create_only(storage, "The bucket")
    assert storage.finished == 3
    assert await listed(storage) == []


async def test_a_store_that_keeps_everything() -> None:
    """A key that cannot be removed harms nobody."""
    storage = Keeping()
    await require_create_only(storage, "The bucket")
    [key] = await listed(storage)
    assert key.startswith(ROOT)
