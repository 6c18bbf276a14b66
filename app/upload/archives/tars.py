"""A gzipped tar archive, walked once as a stream."""

from __future__ import annotations

import re

from .inflate import GZIP, chunks, inflate
from .members import decode_name, refuse
from .tar_headers import (
    BLOCK,
    EXTENDED_KEYS,
    GLOBAL_KEYS,
    Header,
    parse_header,
    parse_long_name,
    parse_pax,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from .limits import Limits
    from .members import Budget

ZEROS = bytes(BLOCK)
REGULAR, DIRECTORY, LINK, SYMBOLIC_LINK = b"0", b"5", b"1", b"2"
EXTENSIONS = {b"x": "extended header", b"L": "long name", b"K": "long link"}
DEVICES = {b"3": "a device", b"4": "a device", b"6": "a fifo", b"S": "a sparse file"}
_SIZE = re.compile(r"[0-9]{1,19}\Z")


class Member:
    """A member: ``kind`` is file, directory, link or symbolic link; ``content`` where asked for."""

    __slots__ = ("content", "kind", "link", "name", "size")

    def __init__(self, name: str, kind: bytes, size: int, link: str) -> None:
        self.name = name
        self.kind = kind
        self.size = size
        self.link = link
        self.content: bytes | None = None


class Stream:
    """The unpacked bytes, taken in exact pieces."""

    def __init__(self, file: BinaryIO, length: int, budget: Budget) -> None:
        self._source = inflate(chunks(file, length), GZIP, "gzip")
        self._budget = budget
        self._buffer = b""
        self._position = 0

    def pull(self, count: int) -> bytes:
        """At most ``count`` bytes, none only at the end."""
        while self._position == len(self._buffer):
            chunk = next(self._source, None)
            if chunk is None:
                return b""
            self._budget.spend(len(chunk))
            self._buffer, self._position = chunk, 0
        piece = self._buffer[self._position : self._position + count]
        self._position += len(piece)
        return piece

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        piece = self.pull(count) if count else b""
        if len(piece) == count:
            return piece
        pieces = [piece]
        missing = count - len(piece)
        while missing:
            piece = self.pull(missing)
            if not piece:
                refuse("the tar archive is cut off")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def skip(self, count: int) -> None:
        """Pass over exactly ``count`` bytes."""
        while count:
            piece = self.pull(count)
            if not piece:
                refuse("the tar archive is cut off")
            count -= len(piece)

    def finish(self) -> None:
        """Nothing but zeros, in whole blocks, until the compressed stream ends, whole and alone."""
        count = 0
        while piece := self.pull(1 << 18):
            count += len(piece)
            if piece.count(0) != len(piece):
                refuse("there are bytes after the end of the tar archive")
        if count % BLOCK:
            refuse("there are bytes after the end of the tar archive")


class Extensions:
    """What extension headers say of the member after them."""

    def __init__(self) -> None:
        self._texts: dict[bytes, bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._texts)

    def add(self, header: Header, content: bytes) -> None:
        """Keep one extension until its member comes."""
        if header.kind in self._texts:
            refuse(f"a member has more than one {EXTENSIONS[header.kind]}")
        self._texts[header.kind] = content

    def apply(self, header: Header) -> Member:
        """The member of the header, and nothing pending any more."""
        texts, self._texts = self._texts, {}
        pax = parse_pax(texts[b"x"], EXTENDED_KEYS) if b"x" in texts else {}
        if ("path" in pax and b"L" in texts) or ("linkpath" in pax and b"K" in texts):
            refuse("{} has its name from two extensions", header.name)
        name = parse_long_name(texts[b"L"], header.name) if b"L" in texts else header.name
        link = parse_long_name(texts[b"K"], header.name) if b"K" in texts else header.link
        _check_size(header, pax)
        kind = REGULAR if header.kind == b"\x00" else header.kind
        return Member(
            pax["path"] if "path" in pax else decode_name(name),
            kind,
            header.size,
            pax["linkpath"] if "linkpath" in pax else decode_name(link),
        )


def _check_size(header: Header, pax: Mapping[str, str]) -> None:
    if "size" in pax and not (_SIZE.match(pax["size"]) and int(pax["size"]) == header.size):
        refuse("the two sizes of {} disagree", header.name)


def walk(stream: Stream, limits: Limits, kept: Callable[[str], int | None]) -> Iterator[Member]:
    """Each member in turn.

    ``kept`` says for a name how long its content may be, which is then kept, or None.
    """
    extensions = Extensions()
    count = 0
    while (block := stream.read(BLOCK)) != ZEROS:
        header = parse_header(block)
        if header.kind in EXTENSIONS:
            extensions.add(header, _read_extension(stream, header, limits))
            continue
        count += 1
        if count > limits.members:
            refuse(f"it has more than {limits.members} members")
        if header.kind == b"g":
            if extensions:
                refuse("an extension header has no member")
            parse_pax(_read_extension(stream, header, limits), GLOBAL_KEYS)
            continue
        member = extensions.apply(header)
        _check_kind(member)
        limit = kept(member.name) if member.kind == REGULAR else None
        if limit is None:
            stream.skip(header.padded)
        elif member.size > limit:
            refuse(f"{{}} has more than {limit} bytes", member.name)
        else:
            member.content = stream.read(header.padded)[: header.size]
        yield member
    if extensions:
        refuse("an extension header has no member")
    if stream.read(BLOCK) != ZEROS:
        refuse("the tar archive does not end with two blocks of zeros")
    stream.finish()


def _read_extension(stream: Stream, header: Header, limits: Limits) -> bytes:
    if header.size > limits.pax:
        refuse(f"an extension header has more than {limits.pax} bytes")
    return stream.read(header.padded)[: header.size]


def _check_kind(member: Member) -> None:
    if member.kind in DEVICES:
        refuse(f"{{}} is {DEVICES[member.kind]}", member.name)
    if member.kind not in (REGULAR, DIRECTORY, LINK, SYMBOLIC_LINK):
        refuse("{} is of a kind that is neither file nor directory", member.name)
    if member.kind == REGULAR and member.name.endswith("/"):
        refuse("{} is a file with the name of a directory", member.name)
    if member.kind != REGULAR and member.size:
        refuse("{} is not a file, but has contents", member.name)
