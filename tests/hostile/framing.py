"""Wheels that are hostile as zip archives: framing, flags, sizes, names of members."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable
from typing import Any

from tests.hostile.archives import Hostile
from tests.hostile.wheels import FILENAME, METADATA, ROOT, SOUND, wheel
from tests.hostile.zips import REGULAR, Zip, deflate, deflate_zeros, extra_field

INIT = "evil/__init__.py"
INFO = f"{ROOT}/METADATA"
BIG = 0xFFFFFFFF


def _case(name: str, reason: str, build: Callable[[], bytes]) -> Hostile:
    return Hostile(id=f"wheel-{name}", filename=FILENAME, build=build, reason=reason)


def _tweak(name: str, reason: str, member: str = INIT, **tweak: Any) -> Hostile:
    return _case(name, reason, lambda: wheel(tweaks={member: tweak}))


def _end(name: str, reason: str, **end: Any) -> Hostile:
    return _case(name, reason, lambda: wheel(**end))


def _named(name: str, reason: str, *members: str) -> Hostile:
    return _case(name, reason, lambda: wheel(dict.fromkeys(members, b"")))


def _raw(name: str, reason: str, member: bytes, **tweak: Any) -> Hostile:
    def build() -> bytes:
        return wheel(append=lambda archive: archive.add(member, b"x", **tweak))

    return _case(name, reason, build)


def _overlapping() -> bytes:
    """Two members of the directory share the bytes of one."""
    twin = {"evil/twin.py": SOUND[INIT]}
    return wheel(twin, tweaks={"evil/twin.py": {"ghost": True, "central": {"offset": 0}}})


def _many() -> bytes:
    archive = Zip()
    for number in range(200_000):
        archive.add(f"e/{number}", method=0)
    return archive.finish(zip64={}, here=0xFFFF, count=0xFFFF)


def _two_directories() -> bytes:
    """The zip64 record points at another directory than the end record does."""
    return wheel(zip64={"start": 0, "length": 10})


def _unpacked(mebibytes: int) -> Callable[[], bytes]:
    tweak = {"stream": deflate_zeros(mebibytes), "both": {"size": mebibytes << 20}}
    return lambda: wheel({"evil/zeros": b""}, tweaks={"evil/zeros": tweak})


def _descriptor() -> bytes:
    content = SOUND[INIT]
    packed = len(deflate(content))
    after = struct.pack("<4s3L", b"PK\7\x08", zlib.crc32(content), packed, len(content))
    tweak = {
        "both": {"flags": 8},
        "local": {"crc": 0, "packed": 0, "size": 0},
        "after": after,
    }
    return wheel(tweaks={INIT: tweak})


def _lying_metadata(claimed: int) -> Callable[[], bytes]:
    """522 KB that unpack to half a gigabyte of METADATA, said to be ``claimed`` bytes."""

    def build() -> bytes:
        stream = deflate_zeros(512, METADATA)
        return wheel(tweaks={INFO: {"stream": stream, "both": {"size": claimed}}})

    return build


def _wide(*values: int) -> bytes:
    return extra_field(1, struct.pack(f"<{len(values)}Q", *values))


SYMLINK = (stat.S_IFLNK | 0o777) << 16
FRAMING = (
    _case("of-zero-bytes", "not a zip archive", lambda: b""),
    _case("of-text", "does not end with", lambda: b"this is a wheel, believe me\n" * 10),
    _case("empty", "no .dist-info", lambda: Zip().finish()),
    _end("with-comment", "without a comment", comment=b"hello"),
    _end("with-trailing-byte", "does not end with", after=b"\x00"),
    _end("with-second-archive-behind", "does not end where|belong to no member", after=wheel()),
    _end("with-leading-bytes", "belong to no member", prefix=b"#!/bin/sh\n"),
    _end("with-leading-bytes-uncounted", "does not end where", prefix=b"MZ" * 9, shift=18),
    _tweak("with-gap", "belong to no member", INFO, before=b"hidden"),
    _tweak("with-bytes-after-member", "belong to no member", after=b"hidden"),
    _end("with-bytes-before-directory", "belong to no member", before=b"hidden"),
    _end("with-bytes-after-directory", "does not end where", tail=b"hidden"),
    _case("with-overlapping-members", "overlap|belong to no member", _overlapping),
    _end("on-two-disks", "several disks", disk=1),
    _end("counting-one-less", "belong to no member", here=3, count=3),
    _end("counting-one-more", "fewer members", here=5, count=5),
    _end("with-directory-elsewhere", "does not end where", start=0),
    _end("promising-zip64", "zip64 record that is not there", start=BIG),
    _end("with-zip64-disagreeing", "disagree", zip64={"count": 2, "here": 2}),
    _end("with-zip64-malformed", "malformed", zip64={"record": 45}),
    _end("with-zip64-gap", "right before its locator", zip64={"gap": 4}),
    _end("with-zip64-disks", "several disks", zip64={"disk": 1}, disk=0xFFFF),
    _case("with-two-directories", "disagree", _two_directories),
    _case("truncated", "does not end with", lambda: wheel()[:-30]),
    _case("of-200000-members", "more than 20000 members", _many),
)
HEADERS = (
    _tweak("local-name-differs", "is called", local={"name": b"evil/__main__.py"}),
    _tweak("local-size-differs", "disagree", local={"size": 1}),
    _tweak("local-packed-size-differs", "disagree", local={"packed": 1}),
    _tweak("local-checksum-differs", "disagree", local={"crc": 1}),
    _tweak("local-method-differs", "disagree", local={"method": 0}),
    _tweak("local-flags-differ", "disagree", local={"flags": 0x800}),
    _tweak("local-header-missing", "no local header|no member", central={"offset": 5}),
    _tweak("encrypted", "is encrypted", both={"flags": 1}),
    _tweak("strongly-encrypted", "is encrypted", both={"flags": 0x41}),
    _tweak("encrypted-in-directory-only", "is encrypted", central={"flags": 1}),
    _tweak("encrypted-in-extra", "is encrypted", extra=extra_field(0x9901, b"AE" * 3)),
    _tweak("patched", "flags of the zip format", both={"flags": 0x20}),
    _tweak("bzip2", "neither stored nor deflated", both={"method": 12}),
    _tweak("lzma", "neither stored nor deflated", both={"method": 14}),
    _tweak("zstandard", "neither stored nor deflated", both={"method": 93}),
    _case("with-data-descriptor", "data descriptor", _descriptor),
    _tweak("with-member-comment", "has a comment", comment=b"hello"),
    _tweak("with-member-on-other-disk", "several disks", central={"disk": 1}),
    _tweak("with-extra-malformed", "malformed extra", extra=b"\x01\x00\xff\x00abc"),
    _tweak("with-extra-stub", "malformed extra", extra=b"\x01\x00"),
    _tweak("with-second-name", "second name", extra=extra_field(0x7075, b"\x01evil.py")),
    _tweak("with-zip64-unneeded", "zip64 extra", extra=_wide(1)),
    _tweak("with-zip64-short", "zip64 extra", extra=_wide(12),
           central={"size": BIG, "packed": BIG}),
    _tweak("with-zip64-missing", "zip64 extra", central={"size": BIG}),
    _tweak("with-zip64-twice", "malformed extra", extra=_wide(12) + _wide(99),
           central={"size": BIG}),
    _tweak("with-zip64-huge-size", "disagree|fewer", extra=_wide(1 << 62), central={"size": BIG}),
    _tweak("with-zip64-huge-offset", "no local header|belong to no member",
           extra=_wide(1 << 40), central={"offset": BIG}),
    _tweak("with-zip64-local-lie", "disagree",
           local_extra=_wide(1 << 40, 1 << 40), local={"size": BIG, "packed": BIG}),
    _tweak("with-zip64-local-half", "zip64 extra", local={"size": BIG}, local_extra=_wide(12)),
)  # fmt: skip
STREAMS = (
    _tweak("with-bad-checksum", "match its checksum", both={"crc": 7}),
    _tweak("with-truncated-stream", "cut off", stream=deflate(b"answer = 42\n")[:-3]),
    _tweak("with-damaged-stream", "damaged", stream=b"\xff" * 14),
    _tweak("with-empty-stream", "cut off", stream=b""),
    _tweak("with-bytes-in-stream", "after the end", stream=deflate(SOUND[INIT]) + b"hidden"),
    _tweak("stored-of-two-sizes", "two sizes differ", method=0, both={"size": 3}),
    _tweak("claiming-less", "more bytes than", both={"size": 3}),
    _tweak("claiming-more", "fewer bytes than", both={"size": 13}),
    _case("lying-about-metadata", "more bytes than", _lying_metadata(200)),
    _case("huge-metadata", "more than 8388608 bytes", _lying_metadata(len(METADATA) + (512 << 20))),
    _case("bomb", "decompression bomb", _unpacked(100)),
    _case("bomb-of-a-gigabyte", "decompression bomb", _unpacked(1024)),
)
NAMES = (
    _named("climbing", r"'\.\.' segment", "../../evil.py"),
    _named("climbing-later", r"'\.\.' segment", "evil/../../evil.py"),
    _named("absolute", "absolute", "/etc/evil"),
    _named("double-slash", "empty", "evil//evil.py"),
    _named("dot-segment", r"'\.' or", "./evil.py"),
    _named("backslash", "backslash", "..\\evil.py"),
    _named("drive", "drive", "C:/evil.py"),
    _raw("nul", "cannot be printed", b"evil/a.py\x00.txt"),
    _raw("nameless", "no name", b""),
    _named("newline", "cannot be printed", "evil/a\nb.py"),
    _named("escape", "cannot be printed", "evil/\x1b[2Jb.py"),
    _named("right-to-left", "cannot be printed", "evil/\u202eyp.exe"),
    _named("zero-width", "cannot be printed", "evil/__init__\u200b.py"),
    _raw("not-utf-8", "is not UTF-8", b"evil/\xff.py", both={"flags": 0x800}),
    _raw("unmarked", "not marked as UTF-8", "evil/é.py".encode(), both={"flags": 0}),
    _named("of-2000-characters", "too long", "evil/" + "x/" * 1000 + "a"),
    _named("with-long-segment", "too long", "evil/" + "x" * 300),
    _raw("twice", "twice", INIT.encode()),
    _named("case-twins", "case does not count", "evil/data.py", "evil/DATA.py"),
    _named("sharp-s-twins", "case does not count", "evil/stra\u00dfe", "evil/STRASSE"),
    _named("accent-twins", "case does not count", "evil/\u00e9", "evil/e\u0301"),
    _named("dot-twins", "case does not count", "evil/data", "evil/data."),
    _named("file-and-directory", "file and a directory", "evil/a", "evil/a/b"),
    _named("file-and-directory-by-case", "file and a directory", "evil/a", "evil/A/b"),
    _tweak("directory-with-contents", "has contents", both={"name": b"evil/__init__.py/"},
           attributes=0o40755 << 16),
    _tweak("symbolic-link", "symbolic link", attributes=SYMLINK),
    _tweak("device", "neither file nor directory", attributes=(stat.S_IFCHR | 0o666) << 16),
    _tweak("fifo", "neither file nor directory", attributes=(stat.S_IFIFO | 0o666) << 16),
    _tweak("dos-directory", "neither file nor directory", attributes=REGULAR | 0x10),
)  # fmt: skip
WHEELS: tuple[Hostile, ...] = (*FRAMING, *HEADERS, *STREAMS, *NAMES)
