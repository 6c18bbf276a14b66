"""``memory:``: a storage for tests and first steps; it ends with the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app import errors
from app.models import Stored
from app.storage import keys
from app.storage.checksum import Checksum

CHUNK = 2**20


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[MemoryStorage]:
    """An empty storage of its own; neither the URL nor options say anything."""
    yield MemoryStorage()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    content: bytes
    stored: Stored


@dataclass(slots=True)
class MemoryStorage:
    """Storage in a dictionary."""

    _held: dict[str, _Held] = field(default_factory=dict)
    _writes: int = 0

    async def create(self, key: str, content: bytes) -> bool:
        if keys.check(key) in self._held:
            return False
        self._hold(key, bytes(content), {})
        return True

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        checksum = Checksum(keys.check(key), size=size, sha256=sha256)
        chunks: list[bytes] = []
        async for chunk in content:
            checksum.update(chunk)
            chunks.append(bytes(chunk))
        checksum.verify()
        self._hold(key, b"".join(chunks), metadata or {})

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        keys.check_range(start, end)
        held = self._held.get(keys.check(key))
        if held is None:
            raise errors.KeyNotFound(key)
        stop = len(held.content) if end is None else min(end, len(held.content))
        for position in range(start, stop, CHUNK):
            yield held.content[position : min(position + CHUNK, stop)]

    async def head(self, key: str) -> Stored | None:
        held = self._held.get(keys.check(key))
        return held.stored if held else None

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        keys.check(key)
        return None

    async def delete(self, key: str) -> None:
        self._held.pop(keys.check(key), None)

    async def delete_many(self, many: Sequence[str]) -> None:
        for key in [keys.check(key) for key in many]:
            self._held.pop(key, None)

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        keys.check_prefix(prefix)
        for key in sorted(key for key in self._held if key.startswith(prefix)):
            if held := self._held.get(key):
                yield held.stored

    def _hold(self, key: str, content: bytes, metadata: Mapping[str, str]) -> None:
        self._writes += 1
        stored = Stored(
            key=key,
            size=len(content),
            modified=datetime.now(UTC),
            etag=str(self._writes),
            metadata=dict(metadata),
        )
        self._held[key] = _Held(content=content, stored=stored)
