"""Upload forms on the wire, shaped as clients send them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import NamedTuple

BOUNDARY = "0123456789abcdef0123456789abcdef"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


class Part(NamedTuple):
    """One part: its headers as they stand on the wire, and its bytes."""

    headers: tuple[str, ...]
    content: bytes


def field(name: str, value: str | bytes, *headers: str) -> Part:
    """A text field."""
    content = value if isinstance(value, bytes) else value.encode()
    return Part((f'Content-Disposition: form-data; name="{name}"', *headers), content)


def file(
    filename: str,
    content: bytes,
    *headers: str,
    name: str = "content",
) -> Part:
    """A file."""
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return Part((disposition, *headers), content)


def body(parts: Iterable[Part], *, boundary: str = BOUNDARY, end: str = "--\r\n") -> bytes:
    """The parts as one body."""
    pieces: list[bytes] = []
    for part in parts:
        head = "".join(f"{header}\r\n" for header in part.headers)
        pieces += [f"--{boundary}\r\n{head}\r\n".encode(), part.content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}{end}".encode()])


def twine(fields: Iterable[tuple[str, str]], filename: str, content: bytes) -> bytes:
    """As requests-toolbelt encodes it for twine and poetry."""
    parts = [field(name, value) for name, value in fields]
    return body([*parts, file(filename, content, "Content-Type: application/octet-stream")])


def uv(fields: Iterable[tuple[str, str]], filename: str, content: bytes) -> bytes:
    """As reqwest encodes it for uv: the file without a Content-Type."""
    return body([*(field(name, value) for name, value in fields), file(filename, content)])


def file_first(fields: Iterable[tuple[str, str]], filename: str, content: bytes) -> bytes:
    """The file before the fields, which a form may do as well."""
    parts = [file(filename, content, "Content-Type: application/octet-stream")]
    return body([*parts, *(field(name, value) for name, value in fields)])


def distutils(fields: Iterable[tuple[str, str]], filename: str, content: bytes) -> bytes:
    """As ``setup.py upload`` sent it: a CRLF first, and a boundary of many hyphens."""
    boundary = "--------------GHSKFJDLGDS7543FJKLFHRE75642756743254"
    parts = [*(field(name, value) for name, value in fields), file(filename, content)]
    return b"\r\n" + body(parts, boundary=boundary)


async def chunked(content: bytes, size: int = 64 * 2**10) -> AsyncIterator[bytes]:
    """The bytes as a server hands them over."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def cut(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Chunks as they are given."""
    for piece in pieces:
        yield piece


def split(content: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The content cut at these places."""
    start = 0
    for place in sorted(cuts):
        yield content[start:place]
        start = place
    yield content[start:]
