"""The bytes of distributions in the storage, and the core metadata beside them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

from ulid import ULID

from app import errors
from app.storage.base import Storage
from app.upload.distribution import Distribution

ROOT = "blobs/"
CHUNK = 1 << 20
METADATA_LIMIT = 1 << 26
"""Core metadata is never longer than this many bytes."""


def new_key(project: str, filename: str) -> str:
    """A key never used before, so that sweeping an old attempt cannot race a new one."""
    return f"{ROOT}{project}/{ULID()}/{filename}"


def metadata_key(blob: str) -> str:
    """Where the core metadata of a blob lies (PEP 658)."""
    return f"{blob}.metadata"


async def once(content: bytes) -> AsyncIterator[bytes]:
    """Bytes at hand, as the stream that a storage takes."""
    yield content


async def put_small(storage: Storage, key: str, content: bytes) -> None:
    """Store bytes at hand."""
    await storage.put(
        key, once(content), size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


async def store(storage: Storage, blob: str, distribution: Distribution) -> None:
    """Bring the bytes and the core metadata of a distribution to their keys, durably."""
    async with aclosing(_spooled(distribution.path)) as chunks:
        await storage.put(blob, chunks, size=distribution.size, sha256=distribution.hashes.sha256)
    await put_small(storage, metadata_key(blob), distribution.metadata)


async def remove(storage: Storage, blob: str) -> None:
    """Remove a blob and what lies beside it."""
    await storage.delete(blob)
    await storage.delete(metadata_key(blob))


async def remove_if_possible(storage: Storage, blob: str) -> None:
    """Remove what a failed attempt brought; where that fails, the sweeping finds it later."""
    with suppress(errors.StorageUnavailable):
        await remove(storage, blob)


async def _spooled(path: Path) -> AsyncGenerator[bytes, None]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
    finally:
        file.close()
