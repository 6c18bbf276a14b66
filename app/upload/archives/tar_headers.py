"""The 512 bytes before each member of a tar archive (POSIX.1-2001 ustar, GNU), read strictly."""

from __future__ import annotations

import re

from .members import decode_name, refuse

BLOCK = 512
POSIX, GNU = b"ustar\x0000", b"ustar  \x00"
_OCTAL = re.compile(rb" *[0-7]+[ \x00]*\Z")
_NUMBERS = (
    ("mode", 100, 108),
    ("uid", 108, 116),
    ("gid", 116, 124),
    ("mtime", 136, 148),
    ("devmajor", 329, 337),
    ("devminor", 337, 345),
)
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ([^=\x00\n]{1,100})=", re.DOTALL)
GLOBAL_KEYS = frozenset({"comment", "charset", "mtime", "atime", "ctime"})
EXTENDED_KEYS = GLOBAL_KEYS | {"path", "linkpath", "size", "uid", "gid", "uname", "gname"}
VENDORS = ("SCHILY.", "LIBARCHIVE.", "APPLE.", "RHT.")


class Header:
    """One header. ``kind`` is the type flag, ``size`` the bytes that follow."""

    __slots__ = ("kind", "link", "name", "size")

    def __init__(self, name: bytes, kind: bytes, size: int, link: bytes) -> None:
        self.name = name
        self.kind = kind
        self.size = size
        self.link = link

    @property
    def padded(self) -> int:
        """``size`` rounded up to whole blocks."""
        return -(-self.size // BLOCK) * BLOCK


def parse_header(block: bytes) -> Header:
    """The header in a block that is not all zeros."""
    name = _text(block[:100])
    checksum = sum(block) - sum(block[148:156]) + 8 * 32
    if _octal(block[148:156]) != checksum:
        refuse("the header of {} does not match its checksum", name)
    magic = block[257:265]
    if magic not in (POSIX, GNU):
        refuse("the header of {} is neither POSIX nor GNU", name)
    for label, start, end in _NUMBERS:
        _check_number(block[start:end], label, name)
    size = _octal(block[124:136])
    if size is None:
        refuse("the header of {} has a malformed size", name)
    prefix = _text(block[345:500])
    if magic == GNU and block[345:500].strip(b"\x00"):
        refuse("the header of {} has fields of a sparse or incremental archive", name)
    full = prefix + b"/" + name if prefix else name
    return Header(full, block[156:157], size, _text(block[157:257]))


def _text(field: bytes) -> bytes:
    return field.partition(b"\x00")[0]


def _octal(field: bytes) -> int | None:
    return int(field.strip(b" \x00"), 8) if _OCTAL.match(field) else None


def _check_number(field: bytes, label: str, name: bytes) -> None:
    """Octal, empty or GNU's base 256: else Python's reader would take it for the end."""
    if field[0] in (0x80, 0xFF) or not field.strip(b" \x00") or _OCTAL.match(field):
        return
    refuse(f"the header of {{}} has a malformed {label}", name)


def parse_long_name(raw: bytes, name: bytes) -> bytes:
    """The contents of a GNU long name or long link."""
    text, nul, rest = raw.partition(b"\x00")
    if not text or not nul or rest.strip(b"\x00"):
        refuse("the long name before {} is malformed", name)
    return text


def parse_pax(raw: bytes, keys: frozenset[str]) -> dict[str, str]:
    """The records of an extended header; ``keys`` are those allowed."""
    found: dict[str, str] = {}
    while raw:
        match = _PAX_RECORD.match(raw)
        if not match:
            refuse("an extended header is malformed")
        end = int(match[1])
        if not match.end() < end <= len(raw) or raw[end - 1] != 0x0A:
            refuse("an extended header is malformed")
        key, value = decode_name(match[2]), raw[match.end() : end - 1]
        raw = raw[end:]
        if key.startswith("GNU.sparse"):
            refuse("it has sparse members")
        if key not in keys and not key.startswith(VENDORS):
            refuse("an extended header has the field {}, which is not in use", key)
        if key in found:
            refuse("an extended header gives {} twice", key)
        found[key] = "" if key.startswith(VENDORS) else decode_name(value)
    return found
