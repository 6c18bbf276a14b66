"""The sound wheel that hostile ones are made from, and the ways to spoil it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.hostile.zips import Zip

FILENAME = "evil-1.0-py3-none-any.whl"
ROOT = "evil-1.0.dist-info"
DATA = "evil-1.0.data"
METADATA = b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
SOUND: Mapping[str, bytes] = {
    "evil/__init__.py": b"answer = 42\n",
    f"{ROOT}/METADATA": METADATA,
    f"{ROOT}/WHEEL": WHEEL,
}


def row(name: str, content: bytes, algorithm: str = "sha256") -> str:
    """One line of RECORD."""
    digest = hashlib.new(algorithm, content, usedforsecurity=False).digest()
    value = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return f"{name},{algorithm}={value},{len(content)}"


def record(files: Mapping[str, bytes]) -> list[str]:
    """The lines of RECORD for these files."""
    rows = [row(name, content) for name, content in files.items() if not name.endswith("/")]
    return [*rows, f"{ROOT}/RECORD,,"]


def wheel(
    extra: Mapping[str, bytes] | None = None,
    *,
    without: Sequence[str] = (),
    rows: Callable[[list[str]], list[str]] = lambda rows: rows,
    raw_record: bytes | None = None,
    tweaks: Mapping[str, Mapping[str, Any]] | None = None,
    append: Callable[[Zip], None] = lambda archive: None,
    prefix: bytes = b"",
    shift: int = 0,
    **end: Any,
) -> bytes:
    """A wheel with more files and fewer, ``rows`` changing RECORD and ``tweaks`` the members."""
    files = {**SOUND, **(extra or {})}
    files = {name: content for name, content in files.items() if name not in without}
    lines = "".join(f"{line}\n" for line in rows(record(files))).encode()
    if f"{ROOT}/RECORD" not in without:
        files[f"{ROOT}/RECORD"] = lines if raw_record is None else raw_record
    archive = Zip(prefix=prefix, shift=shift)
    for name, content in files.items():
        archive.add(name, content, **(tweaks or {}).get(name, {}))
    append(archive)
    return archive.finish(**end)
