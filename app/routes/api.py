"""``/api/v1``: everything that a manager, an admin or a script does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Query as Search
from app.dependencies import AdminDep, BaseUrlDep, IndexDep, LimitsDep, ProjectDep, may
from app.index.manage import to_restore
from app.index.progress import Progress
from app.models import File, Identity, Permission, ProjectSummary
from app.reports import client_address
from app.routes.reading import ReaderDep
from app.routes.recording import Recorder, RecorderDep
from app.routes.router import Router
from app.routes.schemas import (
    FAILURES,
    NO_NUL,
    ChangeLine,
    ChangeList,
    FileDetail,
    ProjectDetail,
    ProjectLine,
    ProjectPage,
    ReindexProgress,
    StatusChange,
    YankChange,
)
from app.routes.shown import Shown
from app.upstream.relayed import described

router = Router(prefix="/api/v1", tags=["api"], responses=FAILURES)

Manager = Annotated[Identity, Depends(may(Permission.MANAGE))]
Filename = Annotated[str, Path(max_length=200)]
Version = Annotated[str, Path(max_length=200)]
PAGE = 1000
_SEPARATORS = re.compile(r"[-_.]+")


@router.get("/projects", summary="List or search projects")
async def list_projects(
    request: Request,
    index: IndexDep,
    reader: ReaderDep,
    limits: LimitsDep,
    query: Annotated[
        str, Query(max_length=200, pattern=NO_NUL, description="part of a name or summary")
    ] = "",
    cursor: Annotated[
        str, Query(max_length=200, pattern=NO_NUL, description="`next` of the page before")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 100,
) -> ProjectPage:
    """Projects that the caller may read, by name, one page at a time."""
    if query:
        await limits.spend(limits.search(client_address(request)))
    search = Search(names=(_SEPARATORS.sub("-", query),), summaries=(query,)) if query else Search()
    shown: list[ProjectSummary] = []
    while len(shown) <= limit:
        page = await index.search(search, after=cursor, limit=PAGE)
        shown += await reader.visible(page)
        if len(page) < PAGE:
            break
        cursor = page[-1].name
    more = shown[limit - 1].name if len(shown) > limit else None
    return ProjectPage(projects=[ProjectLine.of(line) for line in shown[:limit]], next=more)


@router.get("/projects/{project}", summary="Show a project")
async def show_project(project: ProjectDep, reader: ReaderDep, base: BaseUrlDep) -> ProjectDetail:
    """A project and its published files, those of upstreams too; `source` says whose."""
    shown = await reader.listed(project)
    if isinstance(shown, Shown):
        return ProjectDetail.of(shown.project, base)
    return ProjectDetail.of(described(shown.relayed, shown.own), base)


@router.patch("/projects/{project}", summary="Set a project's status")
async def set_status(
    project: ProjectDep,
    change: StatusChange,
    index: IndexDep,
    manager: Manager,
    base: BaseUrlDep,
    record: RecorderDep,
) -> ProjectDetail:
    """Archive, quarantine, deprecate or reactivate a project (PEP 792)."""
    former = await index.present(project)
    found = await index.set_status(project, change.status, change.reason, manager.actor)
    if found.sequence != former.sequence:
        await record.entry(
            "project.status",
            f"project:{project}",
            before={"status": former.status, "reason": former.status_reason},
            after={"status": found.status, "reason": found.status_reason},
        )
    return ProjectDetail.of(found, base)


@router.delete("/projects/{project}", status_code=204, summary="Delete a project")
async def delete_project(
    project: ProjectDep, index: IndexDep, manager: Manager, record: RecorderDep
) -> None:
    """Delete a project with all its files. Their names stay taken."""
    await index.delete_project(project, manager.actor)
    await record.entry("project.delete", f"project:{project}")


@router.post("/projects/{project}/restore", summary="Restore a deleted project")
async def restore_project(
    project: ProjectDep, index: IndexDep, manager: Manager, base: BaseUrlDep, record: RecorderDep
) -> ProjectDetail:
    """Bring a deleted project back with what was in it."""
    restored = await index.restore_project(project, manager.actor)
    await record.entry("project.restore", f"project:{project}")
    return ProjectDetail.of(restored, base)


@router.patch("/projects/{project}/releases/{version}", summary="Yank a release")
async def yank_release(
    project: ProjectDep,
    version: Version,
    change: YankChange,
    index: IndexDep,
    manager: Manager,
    base: BaseUrlDep,
    record: RecorderDep,
) -> list[FileDetail]:
    """Yank every file of a release, or take that back."""
    files = (await index.present(project)).release(version)
    if not files:
        raise errors.ReleaseNotFound(project, version)
    changed = await _yank(index, files, change, manager)
    await _record_yank(record, f"release:{project}/{version}", files, changed)
    return [FileDetail.of(file, base) for file in changed]


@router.post("/projects/{project}/releases/{version}/restore", summary="Restore a deleted release")
async def restore_release(
    project: ProjectDep,
    version: Version,
    index: IndexDep,
    manager: Manager,
    base: BaseUrlDep,
    record: RecorderDep,
) -> list[FileDetail]:
    """Bring back the files of a release that were deleted and whose bytes are kept."""
    files = to_restore(await index.present(project), version)
    restored = [await index.restore(project, file.filename, manager.actor) for file in files]
    if any(one.sequence != other.sequence for one, other in zip(files, restored, strict=True)):
        after = {"sha256": [file.hashes.sha256 for file in restored]}
        await record.entry("file.restore", f"release:{project}/{version}", after=after)
    return [FileDetail.of(file, base) for file in restored]


@router.patch("/projects/{project}/files/{filename}", summary="Yank a file")
async def yank_file(
    project: ProjectDep,
    filename: Filename,
    change: YankChange,
    index: IndexDep,
    manager: Manager,
    base: BaseUrlDep,
    record: RecorderDep,
) -> FileDetail:
    """Yank one file, or take that back."""
    file = await _published(index, project, filename)
    (changed,) = await _yank(index, [file], change, manager)
    await _record_yank(record, f"file:{project}/{filename}", [file], [changed])
    return FileDetail.of(changed, base)


@router.delete("/projects/{project}/files/{filename}", status_code=204, summary="Delete a file")
async def delete_file(
    project: ProjectDep, filename: Filename, index: IndexDep, manager: Manager, record: RecorderDep
) -> None:
    """Delete one file. It can be restored for a while; its name stays taken for ever."""
    file = await _published(index, project, filename)
    await index.delete(file, manager.actor)
    before = {"sha256": file.hashes.sha256}
    await record.entry("file.delete", f"file:{project}/{filename}", before=before)


@router.post("/projects/{project}/files/{filename}/restore", summary="Restore a deleted file")
async def restore_file(
    project: ProjectDep,
    filename: Filename,
    index: IndexDep,
    manager: Manager,
    base: BaseUrlDep,
    record: RecorderDep,
) -> FileDetail:
    """Bring a deleted file back, as long as its bytes are kept."""
    file = await index.restore(project, filename, manager.actor)
    after = {"sha256": file.hashes.sha256}
    await record.entry("file.restore", f"file:{project}/{filename}", after=after)
    return FileDetail.of(file, base)


@router.post("/reindex", status_code=202, summary="Begin a reindex")
async def begin_reindex(index: IndexDep, admin: AdminDep, record: RecorderDep) -> ReindexProgress:
    """Bring the cache up to the journal, beside live traffic; or join the run under way."""
    latest = await index.reindexing()
    index.reindex(by=admin.actor)
    await record.entry("reindex", "")
    return ReindexProgress.of(latest if latest.running else Progress())


@router.get("/reindex", summary="How far a reindex has come")
async def show_reindex(index: IndexDep, admin: AdminDep) -> ReindexProgress:
    """The latest reindex, on whatever replica."""
    return ReindexProgress.of(await index.reindexing())


@router.get("/changes", summary="What changed")
async def list_changes(
    index: IndexDep,
    admin: AdminDep,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> ChangeList:
    """The changes with a serial above ``after``, ascending.

    One whose action is ``pruned`` stands for older ones that are no longer listed.
    """
    found = await index.history.changes(after, limit)
    return ChangeList(
        changes=[ChangeLine.of(change) for change in found],
        serial=found[-1].serial if found else after,
    )


async def _published(index: IndexDep, project: NormalizedName, filename: str) -> File:
    """The file, also of a project in quarantine: managers act on it."""
    for file in (await index.present(project)).published:
        if file.filename == filename:
            return file
    raise errors.FileNotFound(project, filename)


async def _record_yank(
    record: Recorder, target: str, files: Sequence[File], changed: Sequence[File]
) -> None:
    """One entry for what one request changed; none where all was so before."""
    if all(one.sequence == other.sequence for one, other in zip(files, changed, strict=True)):
        return
    reasons = [sorted({str(file.yanked) for file in every}) for every in (files, changed)]
    action = "file.unyank" if all(file.yanked is None for file in changed) else "file.yank"
    await record.entry(action, target, before={"yanked": reasons[0]}, after={"yanked": reasons[1]})


async def _yank(
    index: IndexDep, files: tuple[File, ...] | list[File], change: YankChange, manager: Identity
) -> list[File]:
    if change.yanked is False:
        return await index.unyank(files, manager.actor)
    reason = change.yanked if isinstance(change.yanked, str) else None
    return await index.yank(files, reason, manager.actor)
