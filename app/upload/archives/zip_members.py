"""The members of a zip archive, each read whole: sizes, checksum and framing hold, or it fails."""

from __future__ import annotations

import struct
import zlib

from .inflate import RAW, chunks, inflate
from .members import refuse
from .zip_directory import DEFLATED, DESCRIPTOR, MASK_32, Entry, parse_zip64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from .members import Budget
    from .zip_directory import Directory

LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTORS = tuple(struct.Struct(shape) for shape in ("<3L", "<4s3L", "<L2Q", "<4sL2Q"))


def walk(
    file: BinaryIO, directory: Directory, budget: Budget
) -> Iterator[tuple[Entry, Iterator[bytes]]]:
    """Each member with its bytes, in the order of the file; exhaust one before the next.

    Every byte before the directory belongs to exactly one member.
    """
    position = 0
    ends = [entry.offset for entry in directory.entries[1:]] + [directory.start]
    for entry, end in zip(directory.entries, ends, strict=True):
        if entry.offset != position:
            refuse("there are bytes before {} that belong to no member", entry.raw)
        yield entry, read(file, entry, budget)
        _check_end(file, entry, end)
        position = end
    if position != directory.start:
        refuse("there are bytes before its directory that belong to no member")


def read(file: BinaryIO, entry: Entry, budget: Budget) -> Iterator[bytes]:
    """The bytes of a member; whatever it declares is checked while they pass."""
    _read_local_header(file, entry)
    crc = size = 0
    source = chunks(file, entry.packed)
    for chunk in inflate(source, RAW, entry.name) if entry.method == DEFLATED else source:
        size += len(chunk)
        if size > entry.size:
            refuse("{} unpacks to more bytes than it declares", entry.raw)
        budget.spend(len(chunk))
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if size != entry.size:
        refuse("{} unpacks to fewer bytes than it declares", entry.raw)
    if crc != entry.crc:
        refuse("{} does not match its checksum", entry.raw)


def _read_local_header(file: BinaryIO, entry: Entry) -> None:
    """Stop at the first byte of the member, its local header being that of the directory."""
    file.seek(entry.offset)
    head = file.read(LOCAL.size)
    if len(head) != LOCAL.size or not head.startswith(b"PK\3\4"):
        refuse("{} has no local header where the directory says", entry.raw)
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = LOCAL.unpack(head)
    raw, extra = file.read(name_length), file.read(extra_length)
    if len(extra) != extra_length:
        refuse("{} is cut off", entry.raw)
    if raw != entry.raw:
        refuse("{} is called {} in the directory", raw, entry.raw)
    if (flags, method) != (entry.flags, entry.method):
        refuse("the local header of {} and the directory disagree", raw)
    if (packed == MASK_32) != (size == MASK_32):
        refuse("{} has a zip64 extra field that does not fit its sizes", raw)
    size, packed = parse_zip64(raw, extra, [(size, 8), (packed, 8)])
    found, expected = (crc, packed, size), (entry.crc, entry.packed, entry.size)
    if found != expected and not (
        flags & DESCRIPTOR
        and all(new in (0, old) for new, old in zip(found, expected, strict=True))
    ):
        refuse("the local header of {} and the directory disagree", raw)


def _check_end(file: BinaryIO, entry: Entry, end: int) -> None:
    """After the bytes of a member comes its data descriptor, if it has one, and then the end."""
    gap = end - file.tell()
    if not entry.flags & DESCRIPTOR:
        if gap:
            refuse("there are bytes after {} that belong to no member, or two overlap", entry.raw)
        return
    for shape in DESCRIPTORS:
        if shape.size == gap:
            fields = shape.unpack(file.read(gap))
            signed = len(fields) == 3 or fields[0] == b"PK\7\x08"
            if signed and fields[-3:] == (entry.crc, entry.packed, entry.size):
                return
    refuse("the data descriptor of {} and the directory disagree", entry.raw)
