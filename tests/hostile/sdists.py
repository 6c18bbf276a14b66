"""Hostile source distributions: gzip, tar headers, extensions, names, structure."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from typing import Literal

from tests.hostile.archives import Hostile
from tests.hostile.tars import END, GNU, file, header, long_name, pax, zipped
from tests.hostile.zips import Zip, deflate_zeros

FILENAME = "evil-1.0.tar.gz"
TOP = "evil-1.0"
INFO = b"Metadata-Version: 2.2\nName: evil\nVersion: 1.0\n"
DIRECTORY = header(f"{TOP}/", kind=b"5")
SOUND = (DIRECTORY, file(f"{TOP}/PKG-INFO", INFO), file(f"{TOP}/evil.py", b"answer = 42\n"))
EVIL = f"{TOP}/a"


def _case(
    name: str,
    reason: str,
    build: Callable[[], bytes],
    profile: Literal["strict", "import"] = "strict",
) -> Hostile:
    return Hostile(
        id=f"sdist-{name}", filename=FILENAME, build=build, reason=reason, profile=profile
    )


def _with(name: str, reason: str, *members: bytes) -> Hostile:
    """The sound sdist and more."""
    return _case(name, reason, lambda: zipped(*SOUND, *members))


def _of(name: str, reason: str, *members: bytes) -> Hostile:
    """Nothing but these."""
    return _case(name, reason, lambda: zipped(*members))


def _imported(name: str, reason: str, *members: bytes) -> Hostile:
    """What even the import profile refuses."""
    return _case(f"import-{name}", reason, lambda: zipped(*SOUND, *members), "import")


def _spoiled(index: int, value: int) -> bytes:
    content = bytearray(zipped(*SOUND))
    content[index] ^= value
    return bytes(content)


def _many() -> bytes:
    return zipped(*SOUND, *(file(f"{TOP}/{number}") for number in range(200_000)))


def _bomb() -> bytes:
    head = b"".join((*SOUND, header(EVIL, 1 << 30)))
    return gzip.compress(b"", mtime=0)[:10] + deflate_zeros(1024, head) + bytes(8)


def _imported_zip() -> bytes:
    archive = Zip()
    archive.add(f"{TOP}/PKG-INFO", INFO)
    archive.add(f"{TOP}/../evil.py", b"x")
    return archive.finish()


def _link(name: str, target: bytes, kind: bytes = b"2") -> bytes:
    return header(name, kind=kind, link=target)


GZIPPED = (
    _case("of-zero-bytes", "cut off", lambda: b""),
    _case("of-text", "damaged", lambda: b"this is an sdist, believe me\n"),
    _case("of-bzip2", "damaged", lambda: bz2.compress(b"".join(SOUND) + END)),
    _case("of-plain-tar", "damaged", lambda: b"".join(SOUND) + END),
    _case("of-a-zip", "damaged", _imported_zip),
    _case("of-two-gzip-members", "after the end", lambda: zipped(*SOUND) * 2),
    _case("of-split-gzip-members", "after the end|cut off",
          lambda: gzip.compress(b"".join(SOUND), mtime=0) + gzip.compress(END, mtime=0)),
    _case("with-trailing-bytes", "after the end", lambda: zipped(*SOUND) + b"hidden"),
    _case("with-trailing-zeros", "after the end", lambda: zipped(*SOUND) + bytes(512)),
    _case("truncated", "cut off", lambda: zipped(*SOUND)[:-20]),
    _case("without-gzip-trailer", "cut off", lambda: zipped(*SOUND)[:-8]),
    _case("wrong-gzip-checksum", "damaged", lambda: _spoiled(-8, 1)),
    _case("wrong-gzip-size", "damaged", lambda: _spoiled(-1, 1)),
    _case("bomb", "decompression bomb", _bomb),
    _case("of-200000-members", "more than 20000 members", _many),
)  # fmt: skip
HEADERS = (
    _case("without-end", "cut off", lambda: zipped(*SOUND, end=b"")),
    _case("with-half-an-end", "cut off", lambda: zipped(*SOUND, end=bytes(512))),
    _case("with-one-zero-block", "two blocks of zeros",
          lambda: zipped(*SOUND, bytes(512), file(EVIL))),
    _case("with-second-archive-behind", "after the end of the tar",
          lambda: zipped(*SOUND, END, file(EVIL))),
    _case("with-ragged-end", "after the end of the tar",
          lambda: zipped(*SOUND, end=bytes(1030))),
    _with("wrong-checksum", "match its checksum", file(EVIL, checksum=1)),
    _with("old-magic", "neither POSIX nor GNU", file(EVIL, magic=bytes(8))),
    _with("odd-magic", "neither POSIX nor GNU", file(EVIL, magic=b"ustar\x0001")),
    _with("base-256-size", "malformed size", file(EVIL, size=b"\x80" + bytes(10) + b"\x01")),
    _with("negative-size", "malformed size", file(EVIL, size=b"\xff" * 12)),
    _with("signed-size", "malformed size", file(EVIL, size=b"-0000000001\x00")),
    _with("underscored-size", "malformed size", file(EVIL, size=b"0000000_001\x00")),
    _with("blank-size", "malformed size", file(EVIL, size=b" " * 12)),
    _with("malformed-mtime", "malformed mtime", file(EVIL, mtime=b"yesterday\x00\x00\x00")),
    _with("malformed-mode", "malformed mode", file(EVIL, mode=b"rw-r--r-")),
    _with("size-beyond-end", "cut off", file(EVIL, size=1 << 30)),
    _with("gnu-prefix", "sparse or incremental", file(EVIL, magic=GNU, prefix=b"other")),
    _with("symbolic-link", "is a link", _link(EVIL, b"/etc/passwd")),
    _with("inner-symbolic-link", "is a link", _link(EVIL, b"evil.py")),
    _with("hard-link", "is a link", _link(EVIL, f"{TOP}/evil.py".encode(), b"1")),
    _with("link-with-contents", "has contents", header(EVIL, 512, kind=b"2") + bytes(512)),
    _with("character-device", "is a device", header(EVIL, kind=b"3")),
    _with("block-device", "is a device", header(EVIL, kind=b"4")),
    _with("fifo", "is a fifo", header(EVIL, kind=b"6")),
    _with("contiguous", "neither file nor directory", header(EVIL, kind=b"7")),
    _with("multi-volume", "neither file nor directory", header(EVIL, kind=b"M", magic=GNU)),
    _with("unknown-kind", "neither file nor directory", header(EVIL, kind=b"Z")),
    _with("gnu-sparse", "sparse", header(EVIL, kind=b"S", magic=GNU)),
    _with("directory-with-contents", "has contents", file(EVIL, b"x" * 512, kind=b"5")),
    _with("file-named-directory", "name of a directory", file(EVIL + "/")),
)  # fmt: skip
EXTENSIONS = (
    _with("pax-sparse", "sparse", pax(("GNU.sparse.major", "1")), file(EVIL)),
    _with("pax-sparse-malformed", "sparse", pax(("GNU.sparse.map", "x,y,z")), file(EVIL)),
    _with("pax-size-differs", "two sizes", pax(("size", "100")), file(EVIL, b"x")),
    _with("pax-size-negative", "two sizes", pax(("size", "-1")), file(EVIL, b"x")),
    _with("pax-size-odd", "two sizes", pax(("size", "1_0")), file(EVIL, b"x" * 10)),
    _with("pax-charset", "not in use", pax(("hdrcharset", "BINARY")), file(EVIL)),
    _with("pax-unknown", "not in use", pax(("evil", "1")), file(EVIL)),
    _with("pax-field-twice", "twice", pax(("path", EVIL), ("path", "../x")), file(EVIL)),
    _with("pax-climbing", r"'\.\.' segment", pax(("path", f"{TOP}/../x")), file(EVIL)),
    _with("pax-nul", "cannot be printed", pax(("path", f"{EVIL}\x00.py")), file(EVIL)),
    _with("pax-not-utf-8", "not UTF-8", pax(("path", b"evil-1.0/\xff")), file(EVIL)),
    _with("pax-empty-path", "no name", pax(("path", "")), file(EVIL)),
    _with("pax-length-long", "malformed", file("x", b"99 path=a\n", kind=b"x"), file(EVIL)),
    _with("pax-length-short", "malformed", file("x", b"5 path=a\n", kind=b"x"), file(EVIL)),
    _with("pax-length-zero", "malformed", file("x", b"0 path=a\n", kind=b"x"), file(EVIL)),
    _with("pax-no-equals", "malformed", file("x", b"7 path\n", kind=b"x"), file(EVIL)),
    _with("pax-huge", "more than 65536", file("x", b"x" * 70_000, kind=b"x"), file(EVIL)),
    _with("pax-twice", "more than one", pax(("path", EVIL)), pax(("path", EVIL)), file(EVIL)),
    _with("pax-dangling", "no member", pax(("path", EVIL))),
    _with("pax-global-path", "not in use", pax(("path", EVIL), kind=b"g"), file(EVIL)),
    _with("pax-before-global", "no member", pax(("path", EVIL)),
          pax(("comment", "x"), kind=b"g"), file(EVIL)),
    _with("two-long-names", "two extensions", pax(("path", EVIL)), long_name(b"x\x00"),
          file(EVIL)),
    _with("long-name-unended", "malformed", long_name(EVIL.encode()), file(EVIL)),
    _with("long-name-with-nul", "malformed", long_name(b"a\x00b\x00"), file(EVIL)),
    _with("long-name-climbing", r"'\.\.' segment", long_name(b"evil-1.0/../a\x00"),
          file(EVIL)),
    _with("long-name-huge", "more than 65536", long_name(b"x" * 70_000), file(EVIL)),
)  # fmt: skip
STRUCTURE = (
    _of("empty", "is empty"),
    _with("climbing", r"'\.\.' segment", file(f"{TOP}/../../evil.py")),
    _with("absolute", "absolute", file("/etc/evil")),
    _of("absolute-first", "absolute", file("/etc/evil"), *SOUND),
    _with("backslash", "backslash", file(f"{TOP}\\..\\..\\evil.py")),
    _with("drive", "drive", file("C:/evil.py")),
    _with("nameless", "no name", file("")),
    _with("newline", "cannot be printed", file(f"{TOP}/a\nb")),
    _with("not-utf-8", "not UTF-8", file(b"evil-1.0/\xe9")),
    _with("two-tops", "more than one top", file("other-1.0/evil.py")),
    _with("file-beside-top", "not in the top", file("setup.py")),
    _of("another-top", "should be", header("good-1.0", kind=b"5"), file("good-1.0/PKG-INFO", INFO)),
    _of("top-in-capitals", "should be", file("Evil-1.0/PKG-INFO", INFO)),
    _of("top-with-dot", r"'\.' or", file(f"./{TOP}/PKG-INFO", INFO)),
    _of("top-is-file", "not in the top", file(TOP, INFO)),
    _of("without-pkg-info", "is missing", DIRECTORY, file(f"{TOP}/evil.py")),
    _of("pkg-info-too-deep", "is missing", file(f"{TOP}/evil.egg-info/PKG-INFO", INFO)),
    _of("pkg-info-is-directory", "is missing", header(f"{TOP}/PKG-INFO", kind=b"5")),
    _with("pkg-info-twice", "twice", file(f"{TOP}/PKG-INFO", INFO.replace(b"evil", b"good"))),
    _with("pkg-info-twins", "case does not count", file(f"{TOP}/pkg-info", INFO)),
    _with("file-twice", "twice", file(f"{TOP}/evil.py")),
    _with("file-and-directory", "file and a directory", file(f"{TOP}/evil.py/a")),
    _of("huge-pkg-info", "more than 8388608", file(f"{TOP}/PKG-INFO", INFO + b"x" * (9 << 20))),
    Hostile(id="sdist-zip", filename="evil-1.0.zip", build=_imported_zip, reason="tar.gz"),
)  # fmt: skip
IMPORTED = (
    Hostile(id="sdist-import-zip-climbing", filename="evil-1.0.zip", build=_imported_zip,
            reason=r"'\.\.' segment", profile="import"),
    _imported("link-absolute", "absolute", _link(EVIL, b"/etc/passwd")),
    _imported("link-out", "out of the top", _link(EVIL, b"../x")),
    _imported("link-out-of-depth", "out of the top", _link(f"{TOP}/b/c", b"../../x")),
    _imported("link-climbing-later", r"'\.\.' segment", _link(EVIL, b"b/../../x")),
    _imported("link-empty", "out of the top", _link(EVIL, b"")),
    _imported("hard-link-to-nothing", "no file before", _link(EVIL, b"/etc/passwd", b"1")),
    _imported("beyond-a-link", "file and a directory", _link(EVIL, b"b"), file(f"{EVIL}/c")),
    _imported("device", "is a device", header(EVIL, kind=b"3")),
    _imported("another-top", "more than one top", file("other-1.0/a")),
    _imported("file-twice", "twice", file(f"{TOP}/evil.py")),
)  # fmt: skip


def _lying(name: str, info: bytes) -> Hostile:
    return Hostile(
        id=f"sdist-{name}", filename=FILENAME, build=lambda: zipped(file(f"{TOP}/PKG-INFO", info)),
        reason="(?i)name|version", stage="agreement",
    )  # fmt: skip


LYING = (
    _lying("name-inside-differs", b"Metadata-Version: 2.2\nName: good\nVersion: 1.0\n"),
    _lying("version-inside-differs", b"Metadata-Version: 2.2\nName: evil\nVersion: 2.0\n"),
)
SDISTS: tuple[Hostile, ...] = (*GZIPPED, *HEADERS, *EXTENSIONS, *STRUCTURE, *IMPORTED, *LYING)
