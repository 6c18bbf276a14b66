"""A file of this machine as the content of a put: read in chunks, or taken over as it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20


class WholeFile:
    """The bytes of a complete file, as an asynchronous iterator; to be closed.

    It is named by its path, or by a descriptor for as long as that is open. Nobody writes to
    the file any more, and the size and sha256 that the put names were taken of the bytes that
    went into it. So a storage on the same file system may make it its own by a name of its own
    instead of copying it; a former name is removed by whoever made the file.
    """

    def __init__(self, source: Path | int) -> None:
        self.source = source
        self._chunks = _read(source) if isinstance(source, int) else _chunks(source)

    def __aiter__(self) -> WholeFile:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Let go of the file."""
        await self._chunks.aclose()


async def _chunks(path: Path) -> AsyncGenerator[bytes]:
    file, chunk = await asyncio.to_thread(_opened, path)
    try:
        while chunk:
            yield chunk
            # A short one is the last; what is small costs one hop to a thread, not three.
            chunk = await asyncio.to_thread(file.read, CHUNK) if len(chunk) == CHUNK else b""
    finally:
        file.close()


async def _read(descriptor: int) -> AsyncGenerator[bytes]:
    at, chunk = 0, await asyncio.to_thread(os.pread, descriptor, CHUNK, 0)
    while chunk:
        yield chunk
        at += len(chunk)
        short = len(chunk) < CHUNK
        chunk = b"" if short else await asyncio.to_thread(os.pread, descriptor, CHUNK, at)


def _opened(path: Path) -> tuple[BinaryIO, bytes]:
    file = path.open("rb")
    try:
        return file, file.read(CHUNK)
    except OSError:
        file.close()
        raise
