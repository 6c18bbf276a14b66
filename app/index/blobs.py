"""The bytes of distributions in the storage, and the core metadata that belongs to them.

Ours lie below ``blobs/``, the core metadata beside them. A blob that was adopted stays where
its former index put it; so that this one would never list it, what we add lies elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress

from ulid import ULID

from app import errors
from app.storage.base import Storage
from app.storage.whole import WholeFile
from app.upload.distribution import Distribution

ROOT = "blobs/"
ADOPTED = "adopted/"
METADATA = ".metadata"
PROVENANCE = ".provenance"
SIDECAR = ".meta"
"""What PyPICloud put behind the name of a file in a folder, for the facts of that file."""
METADATA_LIMIT = 1 << 26
"""Core metadata is never longer than this many bytes; provenance is much shorter."""


def new_key(project: str, filename: str) -> str:
    """A key never used before, so that sweeping an old attempt cannot race a new one."""
    return f"{ROOT}{project}/{ULID()}/{filename}"


def attempt(key: str) -> ULID | None:
    """The attempt to upload that a key below ROOT belongs to; None for a key of others."""
    parts = key.split("/")
    if not key.startswith(ROOT) or len(parts) != 4:
        return None
    try:
        return ULID.from_str(parts[2])
    except ValueError:
        return None


def metadata_key(blob: str) -> str:
    """Where the core metadata of a blob lies (PEP 658)."""
    return f"{blob}{METADATA}" if attempt(blob) else f"{ADOPTED}{blob}{METADATA}"


def provenance_key(blob: str) -> str:
    """Where the provenance of a blob of ours lies (PEP 740)."""
    return f"{blob}{PROVENANCE}"


async def once(content: bytes) -> AsyncIterator[bytes]:
    """Bytes at hand, as the stream that a storage takes."""
    yield content


def sha256(content: bytes) -> str:
    """The digest of bytes at hand."""
    return hashlib.sha256(content).hexdigest()


async def put_small(storage: Storage, key: str, content: bytes) -> None:
    """Store bytes at hand."""
    await storage.put(key, once(content), size=len(content), sha256=sha256(content))


async def store(
    storage: Storage,
    blob: str,
    distribution: Distribution,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Bring the bytes and the core metadata of a distribution to their keys, durably.

    ``metadata`` is for the storage to keep with the bytes, where it can.
    """
    async with aclosing(WholeFile(distribution.path)) as chunks:
        await storage.put(
            blob,
            chunks,
            size=distribution.size,
            sha256=distribution.hashes.sha256,
            metadata=metadata,
        )
    await put_small(storage, metadata_key(blob), distribution.metadata)
    if distribution.provenance is not None:
        await put_small(storage, provenance_key(blob), distribution.provenance)


async def remove(storage: Storage, blob: str) -> None:
    """Remove a blob and what belongs to it."""
    beside = [provenance_key(blob)] if attempt(blob) else [f"{blob}{SIDECAR}"]
    await storage.delete_many([blob, metadata_key(blob), *beside])


async def remove_if_possible(storage: Storage, blob: str) -> None:
    """Remove what a failed attempt brought; where that fails, the sweeping finds it later."""
    with suppress(errors.StorageUnavailable):
        await remove(storage, blob)
