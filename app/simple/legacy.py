"""Values → the JSON API of ``/pypi/{project}/json``, which the Simple API replaced. Pure.

No PEP says what it holds; bots and mirrors read it all the same. Every key that they know
is there, in one order, with nulls where there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

import msgspec
from packaging.metadata import parse_email

from app import names
from app.models import UNKNOWN_SIZE, UNKNOWN_TIME, File, Kind, Project
from app.names import canonical_version
from app.simple.render import path, shown, spelled, timestamp

_NO_DOWNLOADS = {"last_day": -1, "last_month": -1, "last_week": -1}


def newest(files: Iterable[File]) -> str | None:
    """The newest final release that is not yanked; else pre-release; else yanked. None: no files.

    A release is yanked when all its files are.
    """
    best = max(
        files,
        key=lambda file: names.rank(file.version, yanked=file.yanked is not None),
        default=None,
    )
    return None if best is None else best.version


def describing(release: Sequence[File]) -> File | None:
    """The file whose core metadata describes a release: a wheel rather than an sdist."""
    documented = (file for file in release if file.metadata_sha256 is not None)
    return min(
        documented, key=lambda file: (file.kind is not Kind.WHEEL, file.filename), default=None
    )


def render(
    project: Project, release: Sequence[File], metadata: bytes, *, base: str, whole: bool
) -> bytes:
    """The description of one release of a project, whose files ``release`` holds (not empty).

    ``metadata`` is the core metadata of ``describing(release)``, empty where there is none;
    ``base`` the public URL of the index without a final slash. ``whole`` adds the files
    of all ``releases``.
    """
    page: dict[str, object] = {
        "info": _info(project, release, metadata, base),
        "last_serial": project.serial,
        "ownership": {"organization": None, "roles": []},
    }
    if whole:
        releases: dict[str, list[dict[str, object]]] = {}
        first: dict[str, str] = {}
        for file in shown(project):
            version = first.setdefault(canonical_version(file.version), spelled(file.version))
            releases.setdefault(version, []).append(_entry(file, base))
        page["releases"] = releases
    page["urls"] = [_entry(file, base) for file in release]
    page["vulnerabilities"] = []
    return msgspec.json.encode(page)


def _yanked(release: Sequence[File]) -> bool:
    return all(file.yanked is not None for file in release)


def _info(
    project: Project, release: Sequence[File], metadata: bytes, base: str
) -> dict[str, object]:
    # A lenient reading: what the fields hold was checked, or not, when the file came.
    raw: Mapping[str, Any] = parse_email(metadata)[0]
    page = f"{base}/project/{project.name}/"
    version = spelled(release[0].version)
    yanked = _yanked(release)
    urls = raw.get("project_urls") or {}
    return {
        "author": raw.get("author", ""),
        "author_email": raw.get("author_email", ""),
        "bugtrack_url": None,
        "classifiers": raw.get("classifiers", []),
        "description": raw.get("description", ""),
        "description_content_type": raw.get("description_content_type"),
        "docs_url": None,
        "download_url": raw.get("download_url", ""),
        "downloads": _NO_DOWNLOADS,
        "dynamic": raw.get("dynamic"),
        "home_page": raw.get("home_page", ""),
        "keywords": ",".join(raw.get("keywords", [])),
        "license": raw.get("license", ""),
        "license_expression": raw.get("license_expression"),
        "license_files": raw.get("license_files"),
        "maintainer": raw.get("maintainer", ""),
        "maintainer_email": raw.get("maintainer_email", ""),
        "name": project.display_name,
        "package_url": page,
        "platform": ",".join(raw.get("platforms", [])),
        "project_url": page,
        "project_urls": urls or None,
        "provides_extra": raw.get("provides_extra"),
        "release_url": f"{page}{version}/",
        "requires_dist": raw.get("requires_dist"),
        "requires_python": raw.get("requires_python") or release[0].requires_python,
        "summary": raw.get("summary") or release[0].summary,
        "version": version,
        "yanked": yanked,
        "yanked_reason": (release[0].yanked or None) if yanked else None,
    }


def _offered(file: File) -> object:
    if not file.offers_metadata:
        return False
    return {"sha256": file.metadata_sha256} if file.metadata_sha256 else True


def _entry(file: File, base: str) -> dict[str, object]:
    time, dated = file.upload_time, file.upload_time != UNKNOWN_TIME
    return {
        "comment_text": file.comment,
        "core-metadata": _offered(file),
        "digests": {
            "blake2b_256": file.hashes.blake2b_256 or None,
            "md5": file.hashes.md5 or None,
            "sha256": file.hashes.sha256 or None,
        },
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": file.hashes.md5 or None,
        "packagetype": file.kind.value,
        "python_version": file.python_version,
        "requires_python": file.requires_python,
        "size": None if file.size == UNKNOWN_SIZE else file.size,
        "upload_time": f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" if dated else None,
        "upload_time_iso_8601": timestamp(time) if dated else None,
        "url": f"{base}/files/{path(file)}",
        "yanked": file.yanked is not None,
        "yanked_reason": file.yanked or None,
    }
