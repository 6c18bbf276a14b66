"""Projects and files that are nowhere stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.models import Actor, File, Hashes, Kind, Project
from app.names import normalize

NAME = normalize("demo")
START = datetime(2026, 1, 1, tzinfo=UTC)


def made_file(
    version: str, number: int = 1, *, tag: str = "py3-none-any", yanked: str | None = None
) -> File:
    """A wheel; ``number`` is its build."""
    return File(
        project=NAME,
        filename=f"demo-{version}-{number}-{tag}.whl",
        version=version,
        kind=Kind.WHEEL,
        python_version="py3",
        size=1000,
        hashes=Hashes(sha256="a" * 64, blake2b_256="b" * 64, md5="c" * 32),
        blob=f"blobs/demo/{number}/x",
        upload_time=START + timedelta(days=number),
        changed=START,
        uploader=Actor(kind="user", id="ada"),
        generation="g",
        sequence=1,
        head="h",
        yanked=yanked,
    )


def made_project(*versions: str) -> Project:
    """A project with a wheel of each version."""
    return Project(
        name=NAME,
        display_name="Demo",
        generation="g",
        sequence=1,
        head="h",
        serial=1,
        files=tuple(made_file(version, n) for n, version in enumerate(versions, 1)),
    )
