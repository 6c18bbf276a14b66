"""HTTP/1.1 as it lies on the wire: heads and bodies, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

PIECE = 1 << 16
"""Bytes taken at a time."""
CLOSED = (OSError, asyncio.IncompleteReadError)
"""What a connection raises that the other side ended in the middle."""


class Head(NamedTuple):
    """The head of a request or an answer: its bytes, its first line, its headers."""

    raw: bytes
    first: tuple[str, str, str]
    headers: dict[str, str]

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first[1])

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.headers.get("transfer-encoding", "")

    @property
    def last(self) -> bool:
        """Of an answer: whether nothing may follow it on its connection."""
        said = "close" in self.headers.get("connection", "").lower()
        return said or not (self.chunked or "content-length" in self.headers)


class Piece(NamedTuple):
    """A part of a body; of a chunked one, ``payload`` is false for what frames it."""

    raw: bytes
    payload: bool


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head, or None where the connection ended before it."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as ended:
        if ended.partial:
            raise
        return None
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    one, two, three = [*first.split(" ", 2), "", ""][:3]
    pairs = (line.partition(":") for line in lines)
    return Head(raw, (one, two, three), {name.lower(): value.strip() for name, _, value in pairs})


def length(head: Head, *, asked: str | None = None) -> int | None:
    """The bytes of the body; None where nobody can know. ``asked``: the method, of an answer."""
    if asked is not None and (asked == "HEAD" or head.status < 200 or head.status in (204, 304)):
        return 0
    if head.chunked:
        return None
    if "content-length" in head.headers:
        return int(head.headers["content-length"])
    return 0 if asked is None else None


async def read_body(
    reader: asyncio.StreamReader, head: Head, *, asked: str | None = None
) -> AsyncGenerator[Piece, None]:
    """The body that follows a head; raises what CLOSED names where it breaks off."""
    size = length(head, asked=asked)
    if size is not None:
        async for piece in _counted(reader, size):
            yield piece
    elif head.chunked:
        async for piece in _chunked(reader):
            yield piece
    else:
        while raw := await reader.read(PIECE):
            yield Piece(raw, payload=True)


async def _counted(reader: asyncio.StreamReader, size: int) -> AsyncGenerator[Piece, None]:
    while size:
        raw = await reader.read(min(size, PIECE))
        if not raw:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(raw)
        yield Piece(raw, payload=True)


async def _chunked(reader: asyncio.StreamReader) -> AsyncGenerator[Piece, None]:
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        yield Piece(line, payload=False)
        async for piece in _counted(reader, size):
            yield piece
        if size:
            yield Piece(await reader.readexactly(2), payload=False)
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        yield Piece(line, payload=False)
    yield Piece(line, payload=False)
