"""The directory of a zip archive (APPNOTE 6.3), read so that every reader reads the same.

The end record stands at the very end and without a comment, the directory ends exactly
where it begins, and nothing in either may be understood in two ways.
"""

from __future__ import annotations

import stat
import struct

from .members import Names, check_name, decode_name, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from .limits import Limits

END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")
CENTRAL = struct.Struct("<4s6H3L5H2L")
STORED, DEFLATED = 0, 8
MASK_16, MASK_32 = 0xFFFF, 0xFFFFFFFF
DESCRIPTOR, UTF_8 = 0x0008, 0x0800
COMPRESSION_HINTS = 0x0006
ENCRYPTED = 0x2041
DOS_DIRECTORY = 0x10
EXTRA_ZIP64, EXTRA_UNICODE_PATH, EXTRA_AES = 0x0001, 0x7075, 0x9901


class Entry:
    """One member as the directory describes it; sizes and offset in bytes."""

    __slots__ = ("crc", "directory", "flags", "method", "name", "offset", "packed", "raw", "size")

    def __init__(self, raw: bytes, flags: int, method: int, crc: int) -> None:
        self.raw = raw
        self.name = decode_name(raw)
        self.flags = flags
        self.method = method
        self.crc = crc
        self.directory = raw.endswith(b"/")
        self.packed = self.size = self.offset = 0


class Directory:
    """The members, in the order of their bytes, and where the directory begins."""

    __slots__ = ("entries", "start")

    def __init__(self, entries: list[Entry], start: int) -> None:
        self.entries = entries
        self.start = start


def read_directory(file: BinaryIO, length: int, limits: Limits, *, strict: bool) -> Directory:
    """Read and check the directory of an archive of ``length`` bytes."""
    count, size, start = _find(file, length)
    if count > limits.members:
        refuse(f"it has more than {limits.members} members")
    file.seek(start)
    entries: list[Entry] = []
    names = Names(strict=strict)
    left = size
    for _ in range(count):
        entry, used = _read_entry(file, left, strict=strict)
        left -= used
        entries.append(entry)
        names.add(entry.name.removesuffix("/"), directory=entry.directory)
    if left:
        refuse("its directory has bytes that belong to no member")
    names.check_tree()
    entries.sort(key=lambda entry: entry.offset)
    return Directory(entries, start)


def _find(file: BinaryIO, length: int) -> tuple[int, int, int]:
    """The number of members, the size and the start of the directory."""
    if length < END.size:
        refuse("it is not a zip archive")
    end = length - END.size
    file.seek(end)
    magic, disk, first_disk, here, count, size, start, comment = END.unpack(file.read(END.size))
    if magic != b"PK\5\6" or comment:
        refuse("it does not end with the end record of a zip archive, without a comment")
    if end >= LOCATOR.size:
        file.seek(end - LOCATOR.size)
        locator = file.read(LOCATOR.size)
        if locator.startswith(b"PK\6\7"):
            marked = (disk, first_disk, here, count, size, start)
            return _find_64(file, end - LOCATOR.size, locator, marked)
    if MASK_16 in (here, count) or MASK_32 in (size, start):
        refuse("its end record promises a zip64 record that is not there")
    if disk or first_disk or here != count:
        refuse("it is a part of a zip archive over several disks")
    if start + size != end:
        refuse("its directory does not end where the end record begins")
    return count, size, start


def _find_64(
    file: BinaryIO, end: int, locator: bytes, marked: tuple[int, ...]
) -> tuple[int, int, int]:
    _, disk, position, disks = LOCATOR.unpack(locator)
    if disk or disks > 1:
        refuse("it is a part of a zip archive over several disks")
    if position + END_64.size != end:
        refuse("its zip64 end record does not stand right before its locator")
    file.seek(position)
    magic, length, _, _, *found = END_64.unpack(file.read(END_64.size))
    if magic != b"PK\6\6" or length != END_64.size - 12:
        refuse("its zip64 end record is malformed")
    masks = (MASK_16, MASK_16, MASK_16, MASK_16, MASK_32, MASK_32)
    if any(old not in (mask, new) for old, mask, new in zip(marked, masks, found, strict=True)):
        refuse("its end record and its zip64 end record disagree")
    disk, first_disk, here, count, size, start = found
    if disk or first_disk or here != count:
        refuse("it is a part of a zip archive over several disks")
    if start + size != position:
        refuse("its directory does not end where the zip64 end record begins")
    return count, size, start


def _read_entry(file: BinaryIO, left: int, *, strict: bool) -> tuple[Entry, int]:
    """The next member of the directory, and how many bytes describe it."""
    head = file.read(CENTRAL.size) if left >= CENTRAL.size else b""
    if not head.startswith(b"PK\1\2"):
        refuse("its directory has fewer members than it says")
    (_, _, _, flags, method, _, _, crc, packed, size, *lengths, disk, _, attributes, offset) = (
        CENTRAL.unpack(head)
    )
    used = CENTRAL.size + sum(lengths)
    if used > left:
        refuse("its directory is cut off")
    raw, extra, comment = (file.read(length) for length in lengths)
    entry = Entry(raw, flags, method, crc)
    check_name(entry.name)
    _check_entry(entry, attributes, strict=strict)
    if comment and strict:
        refuse("{} has a comment", raw)
    wide = parse_zip64(raw, extra, [(size, 8), (packed, 8), (offset, 8), (disk, 4)])
    entry.size, entry.packed, entry.offset, disk = wide
    if disk:
        refuse("it is a part of a zip archive over several disks")
    if entry.directory and entry.size:
        refuse("the directory {} has contents", raw)
    if method == STORED and entry.size != entry.packed:
        refuse("{} is stored, but its two sizes differ", raw)
    return entry, used


def _check_entry(entry: Entry, attributes: int, *, strict: bool) -> None:
    """Flags, method and kind of a member."""
    if entry.flags & ENCRYPTED:
        refuse("{} is encrypted", entry.raw)
    if entry.flags & DESCRIPTOR and strict:
        refuse("{} has a data descriptor", entry.raw)
    if entry.flags & ~(COMPRESSION_HINTS | DESCRIPTOR | UTF_8):
        refuse("{} has flags of the zip format that are not in use", entry.raw)
    if not entry.flags & UTF_8 and not entry.raw.isascii():
        refuse("the name {} is not ASCII, and not marked as UTF-8", entry.raw)
    if entry.method not in (STORED, DEFLATED):
        refuse("{} is neither stored nor deflated", entry.raw)
    kind = stat.S_IFMT(attributes >> 16)
    if kind == stat.S_IFLNK:
        refuse("{} is a symbolic link", entry.raw)
    if kind not in (0, stat.S_IFDIR if entry.directory else stat.S_IFREG):
        refuse("{} is of a kind that is neither file nor directory, or not what its name says",
               entry.raw)  # fmt: skip
    if attributes & DOS_DIRECTORY and not entry.directory:
        refuse("{} is of a kind that is neither file nor directory, or not what its name says",
               entry.raw)  # fmt: skip


def parse_zip64(raw: bytes, extra: bytes, fields: list[tuple[int, int]]) -> list[int]:
    """The fields, as (value, width), with those that are all ones read from the zip64 extra.

    The extra holds exactly the fields that need it: readers differ over what more would mean.
    """
    wide: bytes | None = None
    while extra:
        if len(extra) < 4:
            refuse("{} has a malformed extra field", raw)
        tag, length = struct.unpack_from("<HH", extra)
        value, extra = extra[4 : 4 + length], extra[4 + length :]
        if len(value) != length or (tag == EXTRA_ZIP64 and wide is not None):
            refuse("{} has a malformed extra field", raw)
        if tag == EXTRA_UNICODE_PATH:
            refuse("{} has a second name in an extra field", raw)
        if tag == EXTRA_AES:
            refuse("{} is encrypted", raw)
        if tag == EXTRA_ZIP64:
            wide = value
    found: list[int] = []
    rest = wide or b""
    for value32, width in fields:
        if value32 != (MASK_32 if width == 8 else MASK_16):
            found.append(value32)
            continue
        if len(rest) < width:
            refuse("{} has a zip64 extra field that does not fit its sizes", raw)
        found.append(int.from_bytes(rest[:width], "little"))
        rest = rest[width:]
    if rest:
        refuse("{} has a zip64 extra field that does not fit its sizes", raw)
    return found
