"""A body that goes on where its connection broke off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

from app import errors

PAUSE = 0.1
"""Seconds before the first resumption; twice as long before each further one."""


class Body(NamedTuple):
    """An answer under way. ``remaining`` is how many bytes it promises."""

    etag: str
    remaining: int
    chunks: AsyncIterator[bytes]


async def nothing() -> AsyncGenerator[bytes]:
    """The chunks of a body without any."""
    return
    yield b""


Open = Callable[[int, str | None], Awaitable[Body]]
"""Opens the body from an absolute position on; with an etag, only while it is that of the key.

Both it and the chunks raise errors.StorageUnavailable for whatever may pass.
"""


class _Changed(errors.StorageUnavailable):
    """Going on would mix two bodies."""


async def resumed(
    key: str, begin: Open, start: int, *, attempts: int, pause: float = PAUSE
) -> AsyncGenerator[bytes]:
    """The bytes of ``key`` from ``start`` on, as one, or errors.StorageUnavailable.

    Never ends short of what the first answer promised, and never gives anything else. Gives
    up with the last of ``attempts`` failures that had no byte between them.
    """
    first: Body | None = None
    end = start
    failed = 0
    while True:
        before = start
        try:
            body = await begin(start, first.etag if first else None)
            async with aclosing(body.chunks) as chunks:  # type: ignore[type-var]  # all are generators
                if first is None:
                    first, end = body, start + body.remaining
                same = (body.etag, start + body.remaining) == (first.etag, end)
                async for chunk in chunks:
                    if not same:  # looked at here, for a generator that never began closes nothing
                        raise _Changed(f"{key} was replaced while it was read")
                    if start + len(chunk) > end:
                        raise _Changed(f"The storage sent more of {key} than it promised")
                    start += len(chunk)
                    yield chunk
            if start < end:
                raise errors.StorageUnavailable(
                    f"The storage ended {key} {end - start} bytes early"
                )
        except _Changed:
            raise
        except errors.StorageUnavailable:
            if first is not None and start == end:
                return
            failed = 1 if start > before else failed + 1
            if failed >= attempts:
                raise
        else:
            return
        await asyncio.sleep(pause * 2 ** (failed - 1) * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
