"""Pages with files of other indexes, alone or beside ours. Pure.

What another index left unsaid is left unsaid here: hashes, sizes, times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from app.models import File, Project, Status
from app.names import canonical_version, version_key
from app.simple import render
from app.simple.negotiate import Format
from app.simple.parse import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Link):
    """One file of a page, whose ``url`` may be relative."""

    version: str


def own(file: File, *, files: str, integrity: str | None) -> Line:
    """A file of ours; ``files`` and ``integrity`` as in render.project."""
    offered = {"sha256": file.metadata_sha256} if file.metadata_sha256 else {}
    return Line(
        filename=file.filename,
        url=files + render.path(file),
        version=file.version,
        hashes={"sha256": file.hashes.sha256},
        requires_python=file.requires_python,
        core_metadata=offered if file.offers_metadata else None,
        size=file.size,
        upload_time=file.upload_time,
        yanked=file.yanked,
        provenance=render.provenance(file, integrity),
    )


def beside(
    project: Project, others: Sequence[Line], *, files: str, integrity: str | None
) -> list[Line]:
    """Ours and theirs; of two of one name, ours."""
    mine = [own(file, files=files, integrity=integrity) for file in render.shown(project)]
    taken = {file.filename for file in project.files}
    return [*mine, *(line for line in others if line.filename not in taken)]


def page(
    name: str,
    lines: Sequence[Line],
    format: Format,
    *,
    status: Status = Status.ACTIVE,
    reason: str | None = None,
    serial: int = 0,
) -> bytes:
    """A project's page with these files."""
    listed = sorted(lines, key=lambda line: (version_key(line.version), line.filename))
    if format is Format.JSON:
        return _json(name, listed, status, reason, serial)
    metas = [("pypi:project-status", status.value)] if status is not Status.ACTIVE else []
    if reason:
        metas.append(("pypi:project-status-reason", reason))
    return render.document(f"Links for {name}", metas, [_anchor(line) for line in listed])


def _json(
    name: str, lines: Sequence[Line], status: Status, reason: str | None, serial: int
) -> bytes:
    said: dict[str, str] = {"status": status.value}
    if reason:
        said["reason"] = reason
    versions: dict[str, str] = {}
    for line in lines:
        versions.setdefault(canonical_version(line.version), render.spelled(line.version))
    files = [_entry(line) for line in lines]
    # Keys that the API demands of newer versions are there or the version says less (PEP 700).
    whole = all("size" in file for file in files)
    meta: dict[str, object] = {"api-version": render.VERSION if whole else "1.0"}
    if serial:
        meta["_last-serial"] = serial
    return msgspec.json.encode(
        {
            "meta": meta,
            "name": name,
            "project-status": said,
            "versions": list(versions.values()),
            "files": files,
        }
    )


def _entry(line: Line) -> dict[str, object]:
    entry: dict[str, object] = {
        "filename": line.filename,
        "url": line.url,
        "hashes": dict(line.hashes),
    }
    if line.requires_python:
        entry["requires-python"] = line.requires_python
    if line.core_metadata is not None:
        entry["core-metadata"] = dict(line.core_metadata) or True
    if line.size is not None:
        entry["size"] = line.size
    if line.upload_time is not None:
        entry["upload-time"] = render.timestamp(line.upload_time)
    if line.yanked is not None:
        entry["yanked"] = line.yanked or True
    if line.provenance is not None:
        entry["provenance"] = line.provenance
    return entry


def _anchor(line: Line) -> str:
    digest = _best(line.hashes)
    attributes = {"href": f"{line.url}#{digest}" if digest else line.url}
    if line.requires_python:
        attributes["data-requires-python"] = line.requires_python
    if line.yanked is not None:
        attributes["data-yanked"] = line.yanked
    if line.core_metadata is not None:
        offered = _best(line.core_metadata) or "true"
        attributes["data-core-metadata"] = attributes["data-dist-info-metadata"] = offered
    if line.provenance is not None:
        attributes["data-provenance"] = line.provenance
    if line.size is not None:
        attributes["data-size"] = str(line.size)
    if line.upload_time is not None:
        attributes["data-upload-time"] = render.timestamp(line.upload_time)
    written = " ".join(f'{name}="{render.escape(said)}"' for name, said in attributes.items())
    return f"<a {written}>{render.escape(line.filename)}</a><br>"


def _best(hashes: Mapping[str, str]) -> str:
    """The digest that HTML has room for."""
    for kind in ("sha256", "sha512", "sha384", "blake2b", "sha1", "md5"):
        if kind in hashes:
            return f"{kind}={hashes[kind]}"
    return ""
