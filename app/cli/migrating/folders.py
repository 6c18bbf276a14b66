"""Sources on a disk: a folder of distributions, and the export of a devpi."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from app import errors
from app.cli.migrating.intake import Wanted

CHUNK = 2**20
ENDS = (".whl", ".tar.gz", ".zip", ".egg", ".exe", ".msi", ".rpm", ".tar.bz2", ".tgz", ".tar")
"""Endings of what is or was a distribution; any other file is passed over in silence."""
_INDEX = "dataindex.json"


@dataclass(frozen=True, slots=True)
class Folder:
    """Every distribution below a folder, whatever the folders in it are called."""

    root: Path

    async def files(self) -> AsyncIterator[Wanted]:
        for path in await asyncio.to_thread(lambda: sorted(_below(self.root))):
            yield Wanted(
                filename=path.name,
                where=str(path.relative_to(self.root)),
                read=partial(_read, path),
            )


@dataclass(frozen=True, slots=True)
class DevpiExport:
    """What ``devpi-export`` wrote; of all its indexes, or of those that are named."""

    root: Path
    indexes: Sequence[str] = ()

    async def files(self) -> AsyncIterator[Wanted]:
        document = await asyncio.to_thread(self._document)
        known: Mapping[str, Any] = document.get("indexes", {})
        if unknown := [name for name in self.indexes if name not in known]:
            raise errors.Invalid(
                f"The export has no index {unknown[0]!r}; it has {', '.join(sorted(known))}."
            )
        own = [name for name in sorted(known) if not _is_mirror(known[name])]
        for name in self.indexes or own:
            for entry in known[name].get("files", ()):
                if entry.get("type") == "releasefile":
                    yield self._wanted(entry)

    def _document(self) -> Mapping[str, Any]:
        file = self.root / _INDEX
        try:
            found: Mapping[str, Any] = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except OSError as error:
            raise errors.Invalid(f"{file} cannot be read: {error.strerror}.") from error
        except msgspec.DecodeError:
            raise errors.Invalid(f"{file} is no JSON: {self.root} is no export of devpi.") from None
        return found

    def _wanted(self, entry: Mapping[str, Any]) -> Wanted:
        relative = str(entry.get("relpath", ""))
        path = self.root / relative
        kept = entry.get("entrymapping") or {}
        inside = path.resolve().is_relative_to(self.root.resolve())
        return Wanted(
            filename=path.name,
            where=relative,
            read=partial(_read, path),
            project=str(entry.get("projectname", "")),
            sha256=_sha256(kept),
            yanked="" if kept.get("yanked") not in (None, "", False) else None,
            problem="" if inside and path.is_file() else "the export does not have the file",
        )


def _is_mirror(index: Mapping[str, Any]) -> bool:
    """Whether an index holds what was fetched from another server alone."""
    return (index.get("indexconfig") or {}).get("type") == "mirror"


def _sha256(kept: Mapping[str, Any]) -> str | None:
    hashes = kept.get("hashes")
    if isinstance(hashes, Mapping) and isinstance(hashes.get("sha256"), str):
        return str(hashes["sha256"]).lower()
    kind, _, digest = str(kept.get("hash_spec", "")).partition("=")
    return digest.lower() if kind == "sha256" else None


def _below(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise errors.Invalid(f"{root} is no folder.")
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if name.endswith(ENDS))


async def _read(path: Path) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(path.open, "rb")
        try:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk
        finally:
            await asyncio.to_thread(file.close)
    except OSError as error:
        raise errors.Invalid(f"it cannot be read: {error.strerror}") from error
