"""A whole body on its way out of a store, compared with what the store recorded of it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from app import errors


async def verified(
    key: str,
    chunks: AsyncGenerator[bytes],
    *,
    algorithm: str,
    recorded: Callable[[], bytes | None],
) -> AsyncGenerator[bytes]:
    """The same chunks, the last one held back until the digest of all is the ``recorded`` one.

    That is asked for once a chunk is there; None: the store keeps none, and nothing is
    compared. Raises errors.BlobDamaged.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    held = b""
    async with aclosing(chunks):
        async for chunk in chunks:
            if held:
                yield held
            if recorded() is not None:
                digest.update(chunk)
            held = chunk
    if recorded() not in (None, digest.digest()):
        raise errors.BlobDamaged(f"{key}: the bytes have not the {algorithm} that was recorded")
    if held:
        yield held
