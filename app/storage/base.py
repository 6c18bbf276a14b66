"""The Storage protocol: keys and bytes. Storage is the truth.

A backend is opened by one ``@asynccontextmanager connect(url, …)`` in its module; the
object it yields is ready. Nobody inherits from the protocol;
``app.testing.StorageContract`` says what holds for every backend.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from app.models import Stored


class Storage(Protocol):
    """Bytes by key.

    A key is printable ASCII segments joined by ``/``, none empty, ``.`` or ``..``, each at most
    255 bytes, the first not beginning with a dot, 1024 bytes in all; anything
    else raises ValueError (a programming error: doors validate). Readers see the old bytes
    of a key or the new ones, never a part. Each method raises errors.StorageUnavailable
    when the store cannot be asked or does not answer within its time-out; never a lie such
    as "not found". All methods may be called concurrently, from many processes.
    """

    async def create(self, key: str, content: bytes) -> bool:
        """Write ``key`` unless it exists: True, or False where it exists already.

        The one primitive of commits: of N racing callers exactly one gets True, and
        afterwards the bytes are those of that one. They are durable before either is returned.
        """
        ...

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Stream ``content`` to ``key``, replacing what was there; durable on return.

        Raises errors.BlobDamaged when the bytes have not this size and sha256. Whatever
        goes wrong (a raising iterator and cancellation included), the key is as before.
        """
        ...

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from ``start`` to before ``end`` (None: to the end), in chunks.

        Raises errors.KeyNotFound before the first chunk. A range beyond the end gives
        what there is. A body that breaks off raises; it never ends as if whole.
        """
        ...

    async def head(self, key: str) -> Stored | None:
        """What is known of the key, or None where it does not exist."""
        ...

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        """A presigned URL that GETs the key without a header, or None: the app streams."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the key; removing what is not there succeeds."""
        ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Remove any number of keys as ``delete`` does, in as few requests as the store can.

        Where some of them cannot be removed, the others are before this raises.
        """
        ...

    def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        """Every key that starts with ``prefix`` (a plain string prefix), in ascending order.

        A key that exists throughout the scan is seen exactly once; one that comes or goes
        meanwhile may be seen or not. Half-written keys are never seen.
        """
        ...


async def read(storage: Storage, key: str, *, limit: int) -> bytes:
    """The whole of a small key.

    Raises errors.KeyNotFound, and ValueError where it is longer than ``limit`` bytes.
    """
    chunks: list[bytes] = []
    total = 0
    async for chunk in storage.get(key, end=limit + 1):
        chunks.append(chunk)
        total += len(chunk)
    if total > limit:
        raise ValueError(f"{key} is longer than {limit} bytes")
    return b"".join(chunks)
