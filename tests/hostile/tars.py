"""A writer of tar archives that lies wherever it is told to."""

from __future__ import annotations

import gzip

POSIX, GNU = b"ustar\x0000", b"ustar  \x00"
END = bytes(1024)


def header(
    name: str | bytes,
    size: int | bytes = 0,
    *,
    kind: bytes = b"0",
    link: bytes = b"",
    magic: bytes = POSIX,
    mtime: bytes = b"00000000000\x00",
    mode: bytes = b"0000644\x00",
    prefix: bytes = b"",
    checksum: int | None = None,
) -> bytes:
    """One header of 512 bytes."""
    raw = name.encode() if isinstance(name, str) else name
    length = b"%011o\x00" % size if isinstance(size, int) else size
    block = (
        raw[:100].ljust(100, b"\x00")
        + mode
        + b"0000000\x00" * 2
        + length
        + mtime
        + b" " * 8
        + kind
        + link.ljust(100, b"\x00")
        + magic
        + bytes(64)
        + b"0000000\x00" * 2
        + prefix.ljust(167, b"\x00")
    )
    total = sum(block) if checksum is None else checksum
    return block[:148] + b"%06o\x00 " % total + block[156:]


def padded(content: bytes) -> bytes:
    """The content, filled up to whole blocks."""
    return content + bytes(-len(content) % 512)


def file(name: str | bytes, content: bytes = b"", **fields: object) -> bytes:
    """A regular member."""
    size = fields.pop("size", len(content))
    return header(name, size, **fields) + padded(content)  # type: ignore[arg-type] # as told


def pax(*records: tuple[str, str | bytes], kind: bytes = b"x") -> bytes:
    """An extended header of these records."""
    content = b""
    for key, value in records:
        text = value.encode() if isinstance(value, str) else value
        body = b" " + key.encode() + b"=" + text + b"\n"
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        content += str(length).encode() + body
    return file("PaxHeader", content, kind=kind)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    """A GNU long name, ended by whatever ``name`` ends with."""
    return file("././@LongLink", name, kind=kind, magic=GNU)


def zipped(*members: bytes, end: bytes = END) -> bytes:
    """The members as a gzipped archive."""
    return gzip.compress(b"".join(members) + end, 6, mtime=0)
