"""A writer of zip archives that lies wherever it is told to."""

from __future__ import annotations

import struct
import zlib
from typing import Any

LOCAL = ("needed", "flags", "method", "time", "date", "crc", "packed", "size")
REGULAR = 0o100644 << 16


def deflate(content: bytes) -> bytes:
    """A raw deflate stream."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return engine.compress(content) + engine.flush()


def deflate_repeated(block: bytes, count: int, before: bytes = b"") -> bytes:
    """A raw deflate stream of ``before`` and so many times the block, made quickly."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = engine.compress(before) + engine.flush(zlib.Z_FULL_FLUSH)
    packed = engine.compress(block) + engine.flush(zlib.Z_FULL_FLUSH)
    return head + packed * count + engine.flush()


def deflate_zeros(mebibytes: int, before: bytes = b"") -> bytes:
    """A raw deflate stream of ``before`` and so many MiB of zeros."""
    return deflate_repeated(bytes(1 << 20), mebibytes, before)


def extra_field(tag: int, value: bytes) -> bytes:
    """One extra field."""
    return struct.pack("<HH", tag, len(value)) + value


class Zip:
    """Members are written as they are added; every field can be overridden."""

    def __init__(self, *, prefix: bytes = b"", shift: int = 0) -> None:
        self._bytes = bytearray(prefix)
        self._shift = shift
        self._directory = bytearray()
        self._count = 0

    def add(
        self,
        name: str | bytes,
        content: bytes = b"",
        *,
        method: int = 8,
        stream: bytes | None = None,
        attributes: int = REGULAR,
        extra: bytes = b"",
        local_extra: bytes = b"",
        comment: bytes = b"",
        before: bytes = b"",
        after: bytes = b"",
        local: dict[str, Any] | None = None,
        central: dict[str, Any] | None = None,
        both: dict[str, Any] | None = None,
        ghost: bool = False,
    ) -> None:
        """Write one member.

        ``stream`` are its bytes as they stand in the archive; ``local``, ``central`` and
        ``both`` override fields of the headers; a ``ghost`` has no bytes of its own.
        """
        raw = name.encode() if isinstance(name, str) else name
        packed = stream if stream is not None else deflate(content) if method == 8 else content
        fields: dict[str, Any] = {
            "needed": 20,
            "flags": 0 if raw.isascii() else 0x800,
            "method": method,
            "time": 0,
            "date": 0x21,
            "crc": zlib.crc32(content),
            "packed": len(packed),
            "size": len(content),
            "name": raw,
            **(both or {}),
        }
        self._bytes += before
        offset = len(self._bytes) - self._shift
        if not ghost:
            head = {**fields, **(local or {})}
            self._bytes += struct.pack(
                "<4s5H3L2H", b"PK\3\4", *(head[key] for key in LOCAL),
                len(head["name"]), len(local_extra),
            )  # fmt: skip
            self._bytes += head["name"] + local_extra + packed + after
        head = {"offset": offset, "disk": 0, **fields, **(central or {})}
        self._directory += struct.pack(
            "<4sH5H3L5H2L", b"PK\1\2", 0x314, *(head[key] for key in LOCAL),
            len(head["name"]), len(extra), len(comment), head["disk"], 0, attributes,
            head["offset"],
        )  # fmt: skip
        self._directory += head["name"] + extra + comment
        self._count += 1

    def finish(
        self,
        *,
        before: bytes = b"",
        tail: bytes = b"",
        after: bytes = b"",
        comment: bytes = b"",
        zip64: dict[str, int] | None = None,
        **overrides: int,
    ) -> bytes:
        """The archive, with bytes before and after its directory and after its end."""
        self._bytes += before
        end = {
            "disk": 0,
            "first": 0,
            "here": self._count,
            "count": self._count,
            "length": len(self._directory),
            "start": len(self._bytes) - self._shift,
        }
        wide = b""
        if zip64 is not None:
            gap = zip64.pop("gap", 0)
            wide_end = {"record": 44, **end, **zip64}
            record, *values = wide_end.values()
            position = len(self._bytes) + len(self._directory) + len(tail)
            wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", record, 45, 45, *values)
            wide += bytes(gap) + struct.pack("<4sLQL", b"PK\6\7", 0, position, 1)
        end |= overrides
        closing = struct.pack("<4s4H2LH", b"PK\5\6", *end.values(), len(comment))
        return bytes(self._bytes + self._directory + tail + wide + closing + comment + after)
