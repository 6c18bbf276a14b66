"""The URLs of PyPICloud 1, so that lock files and scripts survive: ``/api/package/`` and others.

Each is another way to what the doors of today do, with the same rights. What only changed its
place is answered 301.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from html import escape
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from packaging.utils import NormalizedName
from starlette.exceptions import HTTPException

from app import errors
from app.access import policy
from app.answers import ErrorResponse
from app.dependencies import (
    AccessDep,
    BaseUrlDep,
    DefaultsDep,
    FileBaseUrlDep,
    IndexDep,
    ProjectDep,
    SettingsDep,
    may,
)
from app.index import Index
from app.models import File, Identity, Permission, Project, ProjectSummary, Status
from app.names import version_key
from app.routes import files
from app.routes.api import delete_file
from app.routes.reading import ReaderDep, door, moved, project_name
from app.routes.recording import RecorderDep
from app.routes.router import Router
from app.routes.upload import DeskDep, UploaderDep, take
from app.simple import render
from app.upload import deduced
from app.upload.form import Form

router = Router(tags=["former"])

CONFLICT = 409
_NO_STORE = {"Cache-Control": "private, no-store"}


@door(router, "/api/package/", "/api/package", described=False)
async def packages(
    index: IndexDep,
    reader: ReaderDep,
    verbose: Annotated[bool, Query()] = False,
) -> Response:
    """The projects that the caller may read: their names, or with ``verbose`` more of each."""
    listed = await reader.visible((await index.listing()).projects)
    found = [_summary(line) if verbose else line.name for line in listed]
    return JSONResponse({"packages": found}, headers=_NO_STORE)


@door(router, "/api/package/{project}/", "/api/package/{project}", described=False)
async def package(
    project: str,
    reader: ReaderDep,
    index: IndexDep,
    access: AccessDep,
    defaults: DefaultsDep,
    base: FileBaseUrlDep,
) -> Response:
    """The files of a project, the newest version first; none of one that is not there."""
    name = project_name(project)
    found: Sequence[File] = ()
    try:
        shown = (await reader.project(name)).project
        found = () if shown.status is Status.QUARANTINED else shown.published
    except errors.ProjectNotFound:
        pass  # as ever: an empty list
    generation = await index.generation(name)
    grants = await access.grants(name, generation)
    write = policy.allows(reader.identity, Permission.UPLOAD, name, generation, grants, defaults)
    newest = sorted(found, key=lambda file: (version_key(file.version), file.filename))[::-1]
    body = {"packages": [_file(file, base) for file in newest], "write": write}
    return JSONResponse(body, headers=_NO_STORE)


# What lock files point at: the same answers as those of /files/, under the old name.
door(router, "/api/package/{project}/{filename}", described=False)(files.download)


@router.post("/api/package/{project}/{filename}", include_in_schema=False)
async def upload(
    request: Request,
    project: str,
    filename: str,
    uploader: UploaderDep,
    settings: SettingsDep,
    base: FileBaseUrlDep,
    desk: DeskDep,
) -> Response:
    """Publish a file; the form has ``content`` alone, the rest is in its filename.

    409 where the filename is taken by other bytes.
    """
    name = project_name(project)

    def complete(form: Form) -> Form:
        if form.content is None:
            return form
        return deduced.form(form.content, name, settings.upload_profile, form.fields)

    try:
        taken = await take(request, uploader, desk, name=name, complete=complete)
    except (errors.FileExists, errors.FilenameUsed) as used:
        return ErrorResponse(CONFLICT, str(used))
    return JSONResponse(_file(taken.published.file, base), headers=_NO_STORE)


@router.delete("/api/package/{project}/{filename}", include_in_schema=False)
async def delete(
    project: ProjectDep,
    filename: str,
    index: IndexDep,
    manager: Annotated[Identity, Depends(may(Permission.MANAGE))],
    record: RecorderDep,
) -> Response:
    """Delete a file, for whoever may manage its project."""
    await delete_file(project, filename, index, manager, record)
    return Response(headers=_NO_STORE)


@door(router, "/pypi/", "/pypi", described=False)
async def root(request: Request, base: BaseUrlDep) -> Response:
    """The list of projects stands at ``/simple/``."""
    return moved(request, base, "/simple/")


@door(router, "/pypi/{project}/", "/pypi/{project}", described=False)
async def page(request: Request, project: str, base: BaseUrlDep) -> Response:
    """The page of a project stands at ``/simple/``; its links are relative to where it stands."""
    return moved(request, base, f"/simple/{project_name(project)}/")


@door(
    router,
    "/simple/{project}/json",
    "/simple/{project}/json/",
    "/{project}/json",
    "/{project}/json/",
    described=False,
)
async def description(request: Request, project: str, base: BaseUrlDep) -> Response:
    """The JSON of a project stands at ``/pypi/``."""
    return moved(request, base, f"/pypi/{project_name(project)}/json")


@door(router, "/packages/", "/packages", described=False)
async def every_file(index: IndexDep, reader: ReaderDep, base: BaseUrlDep) -> Response:
    """Links to all files that the caller may read, for buildout's ``find-links``."""
    listed = await reader.visible((await index.listing()).projects)
    return StreamingResponse(
        _links(index, listed, base), media_type="text/html; charset=utf-8", headers=_NO_STORE
    )


@door(router, "/acct/login", described=False)
async def login(base: BaseUrlDep) -> Response:
    """Where one logs in now."""
    return Response(status_code=302, headers={"Location": f"{base}/login", **_NO_STORE})


# The last of all doors: what no other one is for.
@door(router, "/{project}/", described=False)
async def bare(request: Request, project: str, reader: ReaderDep, base: BaseUrlDep) -> Response:
    """The page of a project of ours, at the root; upstreams are not asked for such a name.

    What other doors begin with is no project here, whatever is called so.
    """
    _leave_to_others(request, project)
    name = project_name(project)
    await reader.project(name)
    return moved(request, base, f"/simple/{name}/")


def _leave_to_others(request: Request, word: str) -> None:
    """Raises errors.NotFound, or the framework's 405, where other doors begin with the word."""
    others = [route for route in request.app.routes if isinstance(route, APIRoute)]
    allowed = {method for one in others if one.path == f"/{word}/" for method in one.methods or ()}
    if allowed:
        raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
    if any(f"{one.path}/".startswith(f"/{word}/") for one in others):
        raise errors.NotFound("There is no such page here.")


def _summary(line: ProjectSummary) -> dict[str, Any]:
    updated = int(line.updated.timestamp())
    return {"name": line.name, "summary": line.summary, "last_modified": updated}


def _file(file: File, base: str) -> dict[str, Any]:
    facts = {
        "requires_python": file.requires_python,
        "summary": file.summary,
        "hash_sha256": file.hashes.sha256,
        "hash_md5": file.hashes.md5,
        "uploader": file.uploader.id,
    }
    return {
        "name": file.project,
        "filename": file.filename,
        "last_modified": int(file.upload_time.timestamp()),
        "version": file.version,
        "url": f"{base}/api/package/{render.path(file)}#sha256={file.hashes.sha256}",
        "summary": file.summary,
        "metadata": {name: fact for name, fact in facts.items() if fact},
    }


async def _links(index: Index, listed: Sequence[ProjectSummary], base: str) -> AsyncIterator[str]:
    yield "<!DOCTYPE html>\n<html><head><title>Packages</title></head><body>\n"
    for line in listed:
        for file in await _published(index, line.name):
            href = f"{base}/files/{render.path(file)}#sha256={file.hashes.sha256}"
            yield f'<a href="{quote(href, safe="/:#=%!")}">{escape(file.filename)}</a><br>\n'
    yield "</body></html>\n"


async def _published(index: Index, name: NormalizedName) -> Sequence[File]:
    try:
        project: Project = await index.project(name)
    except errors.ProjectNotFound:  # it went meanwhile
        return ()
    return () if project.status is Status.QUARANTINED else project.published
