"""What can be known of a distribution that another index took years ago.

No rule is asked here: the file is served already, and installers take it. What cannot be
read is left out, and said.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.metadata import RawMetadata, parse_email
from packaging.utils import NormalizedName

from app import errors, names
from app.models import Kind
from app.upload import headers, metadata
from app.upload.accept import Inspector, one_line, usable
from app.upload.distribution import CoreFields
from app.upload.jsonform import core_fields

_ESCAPED = re.compile(r"[^A-Za-z0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What a file says of itself.

    ``metadata`` are the exact bytes of its core metadata, None where they cannot be read or
    are those of another release; ``problem`` then says why, in one line. ``metadata_static``
    is as in Distribution. ``display_name`` is None where the author's spelling is not known.
    """

    metadata: bytes | None = None
    metadata_static: bool = False
    display_name: str | None = None
    requires_python: str | None = None
    summary: str = ""
    core: CoreFields = field(default_factory=dict)
    problem: str | None = None


async def salvage(
    path: Path,
    *,
    project: NormalizedName,
    version: str,
    filename: str,
    kind: Kind,
    inspector: Inspector,
) -> Salvaged:
    """Look into the archive at ``path``, whose filename says project, version and kind."""
    try:
        inspected = await inspector.inspect(path, filename=filename, kind=kind, profile="import")
    except errors.InvalidUpload as why:
        return Salvaged(problem=str(why))
    # In a thread: the largest metadata takes most of a second.
    return await asyncio.to_thread(read, inspected.metadata, project, version, kind)


def read(content: bytes, project: NormalizedName, version: str, kind: Kind) -> Salvaged:
    """What core metadata says; as strictly as an upload in import, else only the plain fields."""
    try:
        found = metadata.parse(content, "import")
    except errors.InvalidUpload as why:
        return _loosely(content, project, version, str(why))
    if problem := _contradiction(found.name, found.version, project, version):
        return Salvaged(problem=problem)
    return Salvaged(
        metadata=content,
        metadata_static=kind is Kind.WHEEL or found.is_static,
        display_name=found.name,
        requires_python=usable(found.raw.get("requires_python")),
        summary=one_line(found.raw.get("summary", "")),
        core=core_fields(found),
    )


def same_version(one: str, other: str) -> bool:
    """Whether two spellings mean one version, by PEP 440 or as filenames escape them."""
    if names.canonical_version(one) == names.canonical_version(other):
        return True
    return _ESCAPED.sub("-", one) == _ESCAPED.sub("-", other)


def _loosely(content: bytes, project: NormalizedName, version: str, why: str) -> Salvaged:
    """Metadata that breaks a rule, for instance by a version before PEP 440.

    It is kept for people to read, and never offered to installers.
    """
    try:
        raw = parse_email(str(headers.walk(content, "import")))[0]
    except errors.InvalidUpload:
        return Salvaged(problem=why)
    name = raw.get("name", "")
    if problem := _contradiction(name, raw.get("version", ""), project, version):
        return Salvaged(problem=problem)
    return Salvaged(
        metadata=content,
        display_name=name,
        requires_python=usable(raw.get("requires_python")),
        summary=one_line(raw.get("summary", "")),
        core=_named(raw),
        problem=why,
    )


def _contradiction(name: str, version: str, project: NormalizedName, wanted: str) -> str | None:
    """Why this is the metadata of another release; None where it is not."""
    try:
        same = names.normalize(name) == project
    except errors.InvalidName:
        same = False
    if same and same_version(version, wanted):
        return None
    return f"Its core metadata is that of '{one_line(name)}' '{one_line(version)}'."


def _named(raw: RawMetadata) -> Mapping[str, str]:
    return {key: str(raw.get(key)) for key in ("metadata_version", "name", "version") if key in raw}
