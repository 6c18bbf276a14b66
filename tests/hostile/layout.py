"""Wheels that are sound zip archives and hostile as wheels: layout, RECORD, what they install."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from tests.hostile.archives import Hostile
from tests.hostile.wheels import DATA, FILENAME, ROOT, SOUND, WHEEL, row, wheel

INIT = "evil/__init__.py"


def _case(name: str, reason: str, build: Callable[[], bytes]) -> Hostile:
    return Hostile(id=f"wheel-{name}", filename=FILENAME, build=build, reason=reason)


def _with(name: str, reason: str, *names: str) -> Hostile:
    extra: Mapping[str, bytes] = dict.fromkeys(names, b"x")
    return _case(name, reason, lambda: wheel(extra))


def _file(name: str, reason: str, member: str, content: bytes) -> Hostile:
    return _case(name, reason, lambda: wheel({f"{ROOT}/{member}": content}))


def _without(member: str) -> Hostile:
    return _case(
        f"without-{member.lower()}", "is missing", lambda: wheel(without=[f"{ROOT}/{member}"])
    )


def _rows(name: str, reason: str, change: Callable[[list[str]], list[str]]) -> Hostile:
    return _case(f"record-{name}", reason, lambda: wheel(rows=change))


def _record(name: str, reason: str, content: bytes) -> Hostile:
    return _case(f"record-{name}", reason, lambda: wheel(raw_record=content))


def _first(line: str) -> Callable[[list[str]], list[str]]:
    return lambda rows: [line, *rows[1:]]


def _renamed(root: str) -> Callable[[], bytes]:
    """The same wheel with its dist-info directory under another name."""
    moved: dict[str, Any] = {}
    for name in (*SOUND, f"{ROOT}/RECORD"):
        moved[name] = {"both": {"name": name.replace(ROOT, root).encode()}}
    return lambda: wheel(tweaks=moved)


def _of(
    name: str,
    metadata: bytes,
    stage: Literal["inspection", "agreement"] = "agreement",
) -> Hostile:
    return Hostile(
        id=f"wheel-{name}",
        filename=FILENAME,
        build=lambda: wheel({f"{ROOT}/METADATA": metadata}),
        reason="(?i)name|version",
        stage=stage,
    )


GOOD = SOUND[INIT]
DIST_INFO = (
    _case("without-dist-info", "no .dist-info", _renamed("evil-1.0.egg-info")),
    _with("two-dist-infos", "2 .dist-info", "other-1.0.dist-info/METADATA"),
    _with("two-dist-infos-by-case", "2 .dist-info", "evil-2.0.DIST-INFO/METADATA"),
    _case("dist-info-of-another-name", "should be", _renamed("good-1.0.dist-info")),
    _case("dist-info-of-another-version", "should be", _renamed("evil-2.0.dist-info")),
    _case("dist-info-in-capitals", "should be", _renamed("Evil-1.0.dist-info")),
    _without("METADATA"),
    _without("WHEEL"),
    _without("RECORD"),
    _file("wheel-version-2", "not 1.x", "WHEEL", WHEEL.replace(b"1.0", b"2.0")),
    _file("wheel-version-missing", "one Wheel-Version", "WHEEL", b"Generator: test\n"),
    _file("wheel-version-twice", "one Wheel-Version", "WHEEL", b"Wheel-Version: 2.0\n" + WHEEL),
    _file("wheel-version-odd", "one Wheel-Version", "WHEEL", b"Wheel-Version: 1.0; rm\n"),
    _file("wheel-file-huge", "more than 1048576", "WHEEL", WHEEL + b"Tag: x\n" * 200_000),
    _file("entry-points-huge", "more than 1048576", "entry_points.txt", b"# hello\n" * 200_000),
    _of("name-inside-differs", b"Metadata-Version: 2.1\nName: good\nVersion: 1.0\n"),
    _of("version-inside-differs", b"Metadata-Version: 2.1\nName: evil\nVersion: 2.0\n"),
)
RECORD = (
    _rows("wrong-hash", "another hash", _first(row(INIT, b"answer = 43\n"))),
    _rows("wrong-size", "another size", _first(row(INIT, GOOD)[:-2] + "13")),
    _rows("md5", "neither sha256", _first(row(INIT, GOOD, "md5"))),
    _rows("sha1", "neither sha256", _first(row(INIT, GOOD, "sha1"))),
    _rows("no-hash", "no hash for", _first(f"{INIT},,")),
    _rows("no-size", "malformed size", _first(row(INIT, GOOD).removesuffix("12"))),
    _rows("negative-size", "malformed size", _first(row(INIT, GOOD)[:-2] + "-12")),
    _rows("unlisted", "does not list", lambda rows: rows[1:]),
    _rows("lists-missing", "is not there", lambda rows: [row("evil/a.py", b""), *rows]),
    _rows("twice", "twice", lambda rows: [rows[0], *rows]),
    _rows("two-fields", "three fields", lambda rows: [INIT, *rows]),
    _rows("four-fields", "three fields", lambda rows: [rows[0] + ",x", *rows[1:]]),
    _rows("of-itself", "hash of itself", lambda rows: [*rows[:-1], row(f"{ROOT}/RECORD", b"")]),
    _rows("long-line", "line that is too long", lambda rows: ["x" * 10_000, *rows]),
    _rows("climbing", "is not there", lambda rows: [row("../../evil.py", b""), *rows]),
    _record("not-utf-8", "not UTF-8", b"\xff\xfe,,\n"),
    _record("open-quote", "three fields|CSV|does not list", b'"evil/__init__.py,sha256=\n'),
    _record("bare-return", "CSV|three fields", b"a,b\rc,d,e\n"),
    _record("empty", "does not list", b""),
    _record("nul", "three fields|CSV|not there|no hash", b"\x00,,\n"),
    _record("endless", "more than 20000 rows|not there",
            b"".join(b"f%d,sha256=x,1\n" % number for number in range(30_000))),
    _record("huge", "more than 16777216", b"\n" * (17 << 20)),
)  # fmt: skip
INSTALLED = (
    _with("script-python", "take over", f"{DATA}/scripts/python"),
    _with("script-python3.11", "take over", f"{DATA}/scripts/Python3.11.EXE"),
    _with("script-pip3", "take over", f"{DATA}/scripts/pip3"),
    _with("script-activate", "take over", f"{DATA}/scripts/activate.fish"),
    _with("data-bin-python", "take over", f"{DATA}/data/bin/python3"),
    _with("data-scripts-python", "take over", f"{DATA}/data/Scripts/python.exe"),
    _with("nested-script", "not directly", f"{DATA}/scripts/deep/evil"),
    _with("unknown-scheme", "known directory", f"{DATA}/stdlib/os.py"),
    _with("scheme-is-file", "known directory", f"{DATA}/purelib"),
    _with("data-of-another", "should be", "other-1.0.data/scripts/evil"),
    _with("data-by-case", "should be", "evil-1.0.DATA/scripts/python"),
    _with("installs-dist-info", "another distribution",
          f"{DATA}/purelib/pip-99.dist-info/METADATA"),
    _with("installs-over-itself", "installed as one file", f"{DATA}/purelib/{INIT}"),
    _with("installs-over-itself-by-case", "installed as one file",
          f"{DATA}/platlib/EVIL/__init__.py"),
    _with("installs-twice", "installed as one file",
          f"{DATA}/purelib/a.py", f"{DATA}/platlib/a.py"),
)  # fmt: skip
WHEELS: tuple[Hostile, ...] = (*DIST_INFO, *RECORD, *INSTALLED)
