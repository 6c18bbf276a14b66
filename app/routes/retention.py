"""``/api/v1/retention``: what the rules let go, to be looked at first and deleted then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query
from packaging.utils import NormalizedName
from pydantic import BaseModel, ConfigDict, Field

from app import errors, names
from app.dependencies import AdminDep, DownloadsDep, IndexDep, SettingsDep
from app.downloads import Downloads
from app.index import Index
from app.models import File
from app.retention import Doomed, doomed, times
from app.retention.options import RetentionOptions
from app.routes.recording import RecorderDep
from app.routes.router import Router
from app.routes.schemas import FAILURES

router = Router(prefix="/api/v1", tags=["api"], responses=FAILURES)

PAGE = 1000


class DoomedLine(BaseModel):
    """A file that the rules let go, and why."""

    project: str
    version: str
    filename: str
    size: int
    sha256: str
    why: str

    @classmethod
    def of(cls, one: Doomed) -> DoomedLine:
        """As the API shows it."""
        file = one.file
        return cls(
            project=file.project,
            version=file.version,
            filename=file.filename,
            size=file.size,
            sha256=file.hashes.sha256,
            why=one.why,
        )


class DoomedList(BaseModel):
    """Files of projects in the order of their names; ``next`` is the cursor of the next page."""

    files: list[DoomedLine]
    next: str | None = None


class ChosenFile(BaseModel):
    """One of them; what else the list says of it may stand there, and is passed over."""

    model_config = ConfigDict(extra="ignore")

    project: str = Field(max_length=200)
    filename: str = Field(max_length=200)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Chosen(BaseModel):
    """Files that were looked at, by their sha256 and name, as the list has them."""

    model_config = ConfigDict(extra="forbid")

    files: list[ChosenFile] = Field(min_length=1, max_length=3 * PAGE)  # whole projects
    next: str | None = None


@router.get("/retention", summary="What the rules let go")
async def preview(
    index: IndexDep,
    settings: SettingsDep,
    downloads: DownloadsDep,
    admin: AdminDep,
    cursor: Annotated[str, Query(max_length=200, description="`next` of the page before")] = "",
) -> DoomedList:
    """Changes nothing; whole projects at a time, until a page is full."""
    found: list[DoomedLine] = []
    async for name, files in _doomed(index, downloads, settings.retention, cursor):
        found += map(DoomedLine.of, files)
        if len(found) >= PAGE:
            return DoomedList(files=found, next=name)
    return DoomedList(files=found)


@router.post("/retention", summary="Delete what the rules let go")
async def apply(
    chosen: Chosen,
    index: IndexDep,
    settings: SettingsDep,
    downloads: DownloadsDep,
    admin: AdminDep,
    record: RecorderDep,
) -> DoomedList:
    """Delete those of the files that the rules still let go; the answer names them.

    They can be restored for as long as other deleted files; their names stay taken.
    """
    wanted = {(names.normalize(one.project), one.filename, one.sha256) for one in chosen.files}
    deleted = []
    for project in sorted({name for name, _, _ in wanted}):
        for one in await _of(index, downloads, settings.retention, project):
            if _key(one.file) in wanted:
                await index.delete(one.file, admin.actor)
                facts = {"sha256": one.file.hashes.sha256, "why": one.why}
                target = f"file:{one.file.project}/{one.file.filename}"
                await record.entry("file.delete", target, before=facts)
                deleted.append(DoomedLine.of(one))
    return DoomedList(files=deleted)


def _key(file: File) -> tuple[NormalizedName, str, str]:
    return (file.project, file.filename, file.hashes.sha256)


async def _doomed(
    index: Index, downloads: Downloads | None, options: RetentionOptions, cursor: str
) -> AsyncIterator[tuple[str, list[Doomed]]]:
    while options.rules:
        page = await index.projects(after=cursor, limit=PAGE)
        for summary in page:
            yield summary.name, await _of(index, downloads, options, summary.name)
        if len(page) < PAGE:
            return
        cursor = page[-1].name


async def _of(
    index: Index, downloads: Downloads | None, options: RetentionOptions, name: NormalizedName
) -> list[Doomed]:
    try:
        project = await index.present(name)
    except errors.ProjectNotFound:
        return []
    used: dict[timedelta, frozenset[str]] = {}
    if downloads is not None:
        for time in times(name, options):
            found = await downloads.used(name, project.generation, within=time.days + 1)
            if found is not None:  # otherwise nothing can be called unused
                used[time] = found
    return doomed(project, options, datetime.now(UTC), used)
