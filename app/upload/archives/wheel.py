"""A wheel (binary distribution format 1.x): layout, RECORD and every byte that it lists."""

from __future__ import annotations

import re

from . import record, zip_members
from .members import Budget, fold, refuse
from .scripts import shadows
from .spelling import same
from .zip_directory import Directory, Entry, read_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from .answer import Contents
    from .limits import Limits

SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
SCRIPT_DIRECTORIES = ("data/bin/", "data/scripts/")
_WHEEL_VERSION = re.compile(rb"(?i:wheel-version)[ \t]*:[ \t]*([0-9]{1,4})\.[0-9]{1,4}[ \t]*\r?\Z")
_SEPARATORS = re.compile(r"[-_.]+")


def inspect(
    file: BinaryIO, length: int, filename: str, limits: Limits, *, strict: bool
) -> Contents:
    """Read a wheel of ``length`` bytes; ``filename`` ends with ``.whl``. Raises Refusal."""
    parts = filename.removesuffix(".whl").split("-")
    if len(parts) not in (5, 6):
        refuse("the filename {} is not that of a wheel", filename)
    directory = read_directory(file, length, limits, strict=strict)
    entries = {entry.name: entry for entry in directory.entries}
    root = _find_dist_info(entries, f"{parts[0]}-{parts[1]}", strict=strict)
    for name in ("METADATA", "WHEEL", "RECORD"):
        if f"{root}/{name}" not in entries:
            refuse("{} is missing", f"{root}/{name}")
    _check_schemes(directory, parts, strict=strict)
    rows = _read_record(file, entries, root, limits, strict=strict)
    kept = {
        f"{root}/METADATA": limits.metadata,
        f"{root}/WHEEL": limits.text,
        f"{root}/entry_points.txt": limits.text,
    }
    budget = Budget(limits.unpacked(length))
    texts = _read_all(file, directory, rows, kept, budget)
    _check_wheel_version(texts[f"{root}/WHEEL"])
    return {
        "root": root,
        "members": len(entries),
        "unpacked": budget.spent,
        "has_pyproject": False,
        "names": [name for name, entry in entries.items() if not entry.directory],
        "metadata": texts[f"{root}/METADATA"],
        "wheel": texts[f"{root}/WHEEL"],
        "entry_points": texts.get(f"{root}/entry_points.txt"),
    }


def _find_dist_info(entries: dict[str, Entry], stem: str, *, strict: bool) -> str:
    tops = {name.partition("/")[0] for name in entries}
    found = sorted(top for top in tops if fold(top).endswith(".dist-info"))
    if len(found) != 1:
        refuse(f"it has {len(found) or 'no'} .dist-info directories at its top, instead of one")
    root = found[0]
    if not root.endswith(".dist-info") or not same(root[:-10], stem, strict=strict):
        refuse("its directory {} should be {}", root, f"{stem}.dist-info")
    return root


def _check_schemes(directory: Directory, parts: list[str], *, strict: bool) -> None:
    """The ``.data`` directory is the wheel's own, and spreads over the known schemes only."""
    project = _SEPARATORS.sub("-", parts[0]).lower()
    stem = f"{parts[0]}-{parts[1]}"
    installed: dict[str, str] = {}
    for entry in directory.entries:
        top, _, inner = entry.name.partition("/")
        path = entry.name
        if fold(top).endswith(".data"):
            if not top.endswith(".data") or not same(top[:-5], stem, strict=strict):
                refuse("its directory {} should be {}", top, f"{stem}.data")
            if not inner:
                continue
            _check_scheme(entry, inner, project)
            if not inner.startswith(("purelib/", "platlib/")):
                continue
            path = inner.partition("/")[2]
        if entry.directory:
            continue
        other = installed.setdefault(fold(path) if strict else path, entry.name)
        if other != entry.name:
            refuse("{} and {} would be installed as one file", other, entry.name)


def _check_scheme(entry: Entry, inner: str, project: str) -> None:
    scheme, slash, path = inner.partition("/")
    if scheme not in SCHEMES or not slash:
        refuse("{} is not in a known directory of .data", entry.name)
    if scheme in ("purelib", "platlib"):
        top = path.partition("/")[0]
        if fold(top).endswith((".dist-info", ".data")):
            refuse("{} would be installed as a part of another distribution", entry.name)
    script = path if scheme == "scripts" else ""
    for prefix in SCRIPT_DIRECTORIES:
        if fold(inner).startswith(prefix):
            script = inner[len(prefix) :]
    if scheme == "scripts" and "/" in script:
        refuse("{} is not directly in the directory of scripts", entry.name)
    if script and shadows(fold(script), project):
        refuse("{} would take over the environment that it is installed into", entry.name)


def _read_record(
    file: BinaryIO, entries: dict[str, Entry], root: str, limits: Limits, *, strict: bool
) -> dict[str, record.Row]:
    """The rows of RECORD, which list exactly the files."""
    entry = entries[f"{root}/RECORD"]
    if entry.size > limits.record:
        refuse(f"{{}} has more than {limits.record} bytes", entry.name)
    raw = b"".join(zip_members.read(file, entry, Budget(limits.record)))
    rows = record.parse(raw, root, limits.members, strict=strict)
    unsigned = {f"{root}/{name}" for name in record.UNSIGNED}
    for name in rows:
        if name not in entries and name not in unsigned:
            refuse("RECORD lists {}, which is not there", name)
    for name, member in entries.items():
        if name not in rows and name not in unsigned and not member.directory:
            refuse("RECORD does not list {}", name)
    return rows


def _read_all(
    file: BinaryIO,
    directory: Directory,
    rows: dict[str, record.Row],
    kept: dict[str, int],
    budget: Budget,
) -> dict[str, bytes]:
    """Read every member, compare it with RECORD, and keep the texts asked for."""
    texts: dict[str, bytes] = {}
    for entry, source in zip_members.walk(file, directory, budget):
        row = rows.get(entry.name)
        hasher = row.hasher() if row else None
        limit = kept.get(entry.name)
        if limit is not None and entry.size > limit:
            refuse(f"{{}} has more than {limit} bytes", entry.name)
        parts: list[bytes] = []
        for chunk in source:
            if hasher:
                hasher.update(chunk)
            if limit is not None:
                parts.append(chunk)
        if row and hasher:
            row.check(hasher, entry.size)
        if limit is not None:
            texts[entry.name] = b"".join(parts)
    return texts


def _check_wheel_version(text: bytes) -> None:
    found = [line for line in text.split(b"\n") if line[:13].lower() == b"wheel-version"]
    if len(found) != 1 or not (match := _WHEEL_VERSION.match(found[0])):
        refuse("its WHEEL file does not give one Wheel-Version")
    if match[1].lstrip(b"0") != b"1":
        refuse("its Wheel-Version is not 1.x")
