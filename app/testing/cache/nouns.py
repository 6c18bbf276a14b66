"""Files, projects and changes of which a test says only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from packaging.utils import NormalizedName

from app.models import Actor, Change, File, Hashes, Kind, Project

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
ADA = Actor(kind="user", id="Ada Lövelace")
ALPHA = NormalizedName("alpha")
BETA = NormalizedName("beta")
FIRST, SECOND = "01JD0000000000000000000001", "01JD0000000000000000000002"


def make_file(version: str = "1.0", project: NormalizedName = ALPHA, **given: Any) -> File:
    """A published wheel; ``given`` takes the place of any field."""
    filename = f"{project}-{version}-py3-none-any.whl"
    fields: dict[str, Any] = {
        "project": project,
        "filename": filename,
        "version": version,
        "kind": Kind.WHEEL,
        "python_version": "py3",
        "size": 1234,
        "hashes": Hashes(sha256="a" * 64, blake2b_256="b" * 64, md5="c" * 32),
        "blob": f"blobs/{project}/01JD0000000000000000000009/{filename}",
        "upload_time": NOON,
        "changed": NOON,
        "uploader": ADA,
        "generation": FIRST,
        "sequence": 1,
        "head": "d" * 64,
    }
    return File(**(fields | given))


def make_project(name: str = ALPHA, *files: File, **given: Any) -> Project:
    """An active project; ``given`` takes the place of any field."""
    fields: dict[str, Any] = {
        "name": NormalizedName(name),
        "display_name": name.title(),
        "generation": FIRST,
        "sequence": 1,
        "head": "e" * 64,
        "files": files,
    }
    return Project(**(fields | given))


def make_change(action: str = "publish", **given: Any) -> Change:
    """A change by Ada; ``given`` takes the place of any field."""
    fields: dict[str, Any] = {"action": action, "time": NOON, "actor": ADA}
    return Change(**(fields | given))


CHANGE = make_change()
