"""Inflating as a stream: constant memory, one stream and nothing behind it."""

from __future__ import annotations

import zlib

from .members import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

CHUNK = 64 << 10
STEP = 256 << 10
RAW = -zlib.MAX_WBITS
GZIP = 16 + zlib.MAX_WBITS


def chunks(file: BinaryIO, length: int) -> Iterator[bytes]:
    """The next ``length`` bytes of the file, piece by piece."""
    while length:
        chunk = file.read(min(length, CHUNK))
        if not chunk:
            refuse("it is cut off")
        length -= len(chunk)
        yield chunk


def inflate(source: Iterator[bytes], wbits: int, name: str) -> Iterator[bytes]:
    """Inflate one stream that is all of the source, in steps of at most 256 KiB."""
    engine = zlib.decompressobj(wbits)
    try:
        for chunk in source:
            pending = chunk
            while pending:
                if engine.eof:
                    refuse("there are bytes after the end of the compressed stream of {}", name)
                yield engine.decompress(pending, STEP)
                pending = engine.unused_data if engine.eof else engine.unconsumed_tail
        while not engine.eof:
            rest = engine.decompress(b"", STEP)
            if not rest and not engine.eof:
                refuse("the compressed stream of {} is cut off", name)
            yield rest
    except zlib.error:
        refuse("the compressed stream of {} is damaged", name)
