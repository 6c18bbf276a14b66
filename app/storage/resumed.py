"""A body that goes on where its connection broke off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
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


Open = Callable[[int, str | None], Awaitable[Body]]
"""Opens the body from an absolute position on; with an etag, only while it is that of the key.

Both it and the chunks raise errors.StorageUnavailable for whatever may pass.
"""


async def resumed(key: str, begin: Open, start: int, *, attempts: int) -> AsyncIterator[bytes]:
    """The bytes of ``key`` from ``start`` on, as one, or errors.StorageUnavailable.

    Never ends short of what the first answer promised. ``attempts`` answers in a row may
    bring nothing.
    """
    etag: str | None = None
    end: int | None = None
    failed = 0
    while end is None or start < end:
        before = start
        try:
            body = await begin(start, etag)
            etag, end = body.etag, start + body.remaining if end is None else end
            async with aclosing(body.chunks) as chunks:  # type: ignore[type-var]  # all are generators
                async for chunk in chunks:
                    start += len(chunk)
                    yield chunk
            if start >= end:
                return
            raise errors.StorageUnavailable(f"The storage ended {key} {end - start} bytes early")
        except errors.StorageUnavailable:
            failed = 1 if start > before else failed + 1
            if failed >= attempts:
                raise
        await asyncio.sleep(PAUSE * 2 ** (failed - 1) * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
