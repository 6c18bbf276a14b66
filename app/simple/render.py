"""Values → pages: the Simple API on the wire, version 1.4 (PEP 503, 691, 700, 714, 792). Pure.

The bytes depend on the values alone, so that equal projects have equal entity tags.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from app.models import File, Project, ProjectSummary, Status
from app.names import canonical_version, parse_version
from app.simple.negotiate import Format

VERSION = "1.4"
"""PEP 833 froze the HTML form at it; JSON says more only with all of PEP 752."""
FILES = "../../files/"
"""Where the files are, seen from a project's page."""

_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])


def project(
    project: Project, format: Format, *, files: str = FILES, integrity: str | None = None
) -> bytes:
    """A project's page. ``files`` is the URL below which ``{project}/{filename}`` is found.

    ``integrity`` is the absolute, secure URL below which provenance is found; without one
    none is shown (PEP 740).
    """
    if format is Format.JSON:
        return _project_json(project, files, integrity)
    return _project_html(project, files, integrity)


def root(summaries: Iterable[ProjectSummary], format: Format, *, serial: int) -> bytes:
    """The list of projects; ``serial`` is that of the index when they were read."""
    if format is Format.JSON:
        projects = [{"name": s.display_name, "_last-serial": s.serial} for s in summaries]
        return msgspec.json.encode({"meta": _meta(serial), "projects": projects})
    links = [f'<a href="{quote(s.name)}/">{escape(s.display_name)}</a><br>' for s in summaries]
    return document("Simple index", (), links)


def shown(project: Project) -> tuple[File, ...]:
    """The files that a page lists: none while in quarantine (PEP 792)."""
    return () if project.status is Status.QUARANTINED else project.published


def versions(files: Sequence[File]) -> list[str]:
    """The releases of these files in their order, each once (PEP 700), as PEP 440 writes them."""
    releases: dict[str, str] = {}
    for file in files:
        releases.setdefault(canonical_version(file.version), spelled(file.version))
    return list(releases.values())


def spelled(version: str) -> str:
    """The version as PEP 440 writes it; what is no PEP 440 version stays as it is."""
    parsed = parse_version(version)
    return version if parsed is None else str(parsed)


def path(file: File) -> str:
    """``{project}/{filename}`` for a URL. ``+`` is escaped: some servers read it as a blank."""
    return f"{quote(file.project)}/{quote(file.filename, safe='!')}"


def provenance(file: File, integrity: str | None) -> str | None:
    """The URL of a file's provenance, where there is one and it may be shown."""
    if integrity is None or file.provenance_sha256 is None:
        return None
    name = quote(file.filename, safe="!")
    version = quote(file.version, safe="!")
    return f"{integrity}{quote(file.project)}/{version}/{name}/provenance"


def timestamp(time: datetime) -> str:
    """``yyyy-mm-ddThh:mm:ss.ffffffZ`` (PEP 700)."""
    utc = time.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def _meta(serial: int) -> dict[str, object]:
    return {"api-version": VERSION, "_last-serial": serial}


def _project_json(project: Project, files: str, integrity: str | None) -> bytes:
    listed = shown(project)
    status: dict[str, str] = {"status": project.status.value}
    if project.status_reason:
        status["reason"] = project.status_reason
    page: dict[str, object] = {
        "meta": _meta(project.serial),
        "name": project.name,
        "project-status": status,
        "versions": versions(listed),
        "files": [_file_json(file, files, integrity) for file in listed],
    }
    return msgspec.json.encode(page)


def _file_json(file: File, files: str, integrity: str | None) -> dict[str, object]:
    entry: dict[str, object] = {
        "filename": file.filename,
        "url": files + path(file),
        "hashes": {"sha256": file.hashes.sha256},
    }
    if file.requires_python:
        entry["requires-python"] = file.requires_python
    if file.offers_metadata:
        entry["core-metadata"] = {"sha256": file.metadata_sha256}
    entry["size"] = file.size
    entry["upload-time"] = timestamp(file.upload_time)
    if file.yanked is not None:
        # An empty string is "yanked" to some clients and "not yanked" to others.
        entry["yanked"] = file.yanked or True
    if (url := provenance(file, integrity)) is not None:
        entry["provenance"] = url
    return entry


def _project_html(project: Project, files: str, integrity: str | None) -> bytes:
    metas: list[tuple[str, str]] = []
    if project.status is not Status.ACTIVE:
        metas.append(("pypi:project-status", project.status.value))
    if project.status_reason:
        metas.append(("pypi:project-status-reason", project.status_reason))
    links = [_anchor(file, files, integrity) for file in shown(project)]
    return document(f"Links for {project.name}", metas, links)


def _anchor(file: File, files: str, integrity: str | None) -> str:
    attributes = {"href": f"{files}{path(file)}#sha256={file.hashes.sha256}"}
    if file.requires_python:
        attributes["data-requires-python"] = file.requires_python
    if file.yanked is not None:
        attributes["data-yanked"] = file.yanked
    if file.offers_metadata:
        attributes["data-core-metadata"] = f"sha256={file.metadata_sha256}"
        attributes["data-dist-info-metadata"] = f"sha256={file.metadata_sha256}"
    if (url := provenance(file, integrity)) is not None:
        attributes["data-provenance"] = url
    attributes["data-size"] = str(file.size)
    attributes["data-upload-time"] = timestamp(file.upload_time)
    written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {written}>{escape(file.filename)}</a><br>"


def document(title: str, metas: Iterable[tuple[str, str]], links: Iterable[str]) -> bytes:
    """A page of HTML with these metas (name and content) and lines."""
    title = escape(title)
    named = (("pypi:repository-version", VERSION), *metas)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head>',
        '<meta charset="utf-8">',
        *(f'<meta name="{name}" content="{escape(content)}">' for name, content in named),
        f"<title>{title}</title></head><body><h1>{title}</h1>",
        *links,
        "</body></html>",
        "",
    ]
    return "\n".join(lines).encode()


def escape(text: str) -> str:
    """Text for an element or a quoted attribute; HTML has no way to write control characters."""
    return html.escape(text.translate(_CONTROLS))
