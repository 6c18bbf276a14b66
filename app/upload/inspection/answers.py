"""What a child answers, believed no more than necessary: types and sizes are checked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

HEAD_LENGTH = 4 << 20
TEXT_LENGTH = 64 << 20


class Garbled(Exception):
    """The child wrote something that is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the archive holds; sizes are bytes.

    ``metadata`` is the exact METADATA of a wheel or PKG-INFO of an sdist; ``root`` the name
    of the dist-info directory or of the sdist's top directory. ``names`` are files relative
    to the root: those near its top up to a number, and every one that a ``License-File``
    line of the metadata names (PEP 639; in a wheel below ``licenses/``).
    """

    metadata: bytes
    members: int
    unpacked: int
    root: str
    wheel: bytes | None
    entry_points: bytes | None
    has_pyproject: bool
    names: frozenset[str]


class Head(msgspec.Struct):
    """The JSON before the texts; one of ``refused``, ``crashed``, ``ready`` and ``sizes``."""

    refused: str | None = None
    crashed: str | None = None
    worn: bool = False
    ready: int | None = None
    missing: list[str] = []
    sizes: tuple[int | None, int | None, int | None] | None = None
    root: str = ""
    members: int = 0
    unpacked: int = 0
    has_pyproject: bool = False
    names: frozenset[str] = frozenset()


_heads = msgspec.json.Decoder(Head)


async def read_head(reader: asyncio.StreamReader) -> Head:
    """The head of the next frame. Raises Garbled, IncompleteReadError."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > HEAD_LENGTH:
        raise Garbled
    try:
        return _heads.decode(await reader.readexactly(length))
    except msgspec.MsgspecError as error:
        raise Garbled from error


async def read_texts(reader: asyncio.StreamReader, head: Head) -> Inspection:
    """The rest of an answer. Raises Garbled, IncompleteReadError."""
    texts: list[bytes | None] = []
    for size in head.sizes or ():
        if size is not None and not 0 <= size <= TEXT_LENGTH:
            raise Garbled
        texts.append(None if size is None else await reader.readexactly(size))
    if len(texts) != 3 or texts[0] is None:
        raise Garbled
    return Inspection(
        metadata=texts[0],
        wheel=texts[1],
        entry_points=texts[2],
        members=head.members,
        unpacked=head.unpacked,
        root=head.root,
        has_pyproject=head.has_pyproject,
        names=head.names,
    )
