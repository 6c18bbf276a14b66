"""Where the indexes of these tests live."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from app.cache.base import Cache
from app.cache.memory import connect as connect_cache
from app.index import Index
from app.models import Actor, Hashes
from app.storage.base import Storage
from app.upload.distribution import Distribution

ALICE = Actor(kind="user", id="älice")

Make = Callable[..., Distribution]


@dataclass
class Place:
    """Where an index lives: its storage stays, its cache may be replaced by an empty one."""

    storage: Storage
    cache: Cache
    stack: AsyncExitStack = field(repr=False)

    @property
    def index(self) -> Index:
        """A replica."""
        return Index(self.storage, self.cache)

    async def lose_cache(self) -> None:
        """Begin with an empty cache, as after its database was dropped."""
        self.cache = await self.stack.enter_async_context(connect_cache("memory:", {}))


def hashes(content: bytes) -> Hashes:
    """The three digests of some bytes."""
    return Hashes(
        sha256=hashlib.sha256(content).hexdigest(),
        blake2b_256=hashlib.blake2b(content, digest_size=32).hexdigest(),
        md5=hashlib.md5(content).hexdigest(),
    )
