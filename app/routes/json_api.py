"""``/pypi/{project}/json``: what bots, badges and mirrors read beside the Simple API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fastapi import Request, Response
from packaging.utils import NormalizedName

from app import errors
from app.dependencies import BaseUrlDep, FileBaseUrlDep, IndexDep, PagesDep
from app.index import Index
from app.models import File, Project, Status
from app.names import canonical_version
from app.pages import Key, Page, Pages, json_page, version_key
from app.routes.reading import Reader, ReaderDep, door, moved, page_response, project_name
from app.routes.router import Router
from app.routes.shown import Shown
from app.simple import legacy
from app.upstream.relayed import described

router = Router(tags=["json"])

RENAMED = {301: "The project's normalised name."}


class Known(NamedTuple):
    """A project of ours or of an upstream; ``key`` tells one state of it from every other."""

    project: Project
    key: Key
    public: bool
    metadata: Callable[[File], Awaitable[bytes]]


@door(
    router,
    "/pypi/{project}/json",
    "/pypi/{project}/json/",
    types=("application/json",),
    responses=RENAMED,
    summary="Describe the newest release",
)
async def project(
    request: Request,
    project: str,
    reader: ReaderDep,
    index: IndexDep,
    pages: PagesDep,
    base: BaseUrlDep,
    files: FileBaseUrlDep,
) -> Response:
    """The newest release that is final and not yanked, and the files of all releases."""
    name = project_name(project)
    if name != project:
        return moved(request, base, f"/pypi/{name}/json")
    known = await _known(reader, index, name)
    version = legacy.newest(_listed(known.project))
    if version is None:
        raise errors.ProjectNotFound(name)
    page = await _page(known, pages, version, files, whole=True)
    return _response(request, page, known)


@door(
    router,
    "/pypi/{project}/{version}/json",
    "/pypi/{project}/{version}/json/",
    types=("application/json",),
    responses=RENAMED,
    summary="Describe a release",
)
async def release(
    request: Request,
    project: str,
    version: str,
    reader: ReaderDep,
    index: IndexDep,
    pages: PagesDep,
    base: BaseUrlDep,
    files: FileBaseUrlDep,
) -> Response:
    """One release and its files; any spelling that PEP 440 calls equal finds it."""
    name = project_name(project)
    if name != project:
        return moved(request, base, f"/pypi/{name}/{version}/json")
    known = await _known(reader, index, name)
    _listed(known.project)
    page = await _page(known, pages, version, files, whole=False)
    return _response(request, page, known)


def _listed(project: Project) -> tuple[File, ...]:
    if project.status is Status.QUARANTINED:
        raise errors.Quarantined(project.name)
    return project.published


async def _known(reader: Reader, index: Index, name: NormalizedName) -> Known:
    shown = await reader.listed(name)
    if isinstance(shown, Shown):
        return Known(shown.project, version_key(shown.project), shown.public, index.metadata)
    relayed, upstreams = shown.relayed, reader.upstreams

    async def metadata(file: File) -> bytes:
        if file.blob:
            return await index.metadata(file)
        return await upstreams.metadata(upstreams.entry(relayed, file.filename))

    mine = version_key(shown.own) if shown.own is not None else ()
    return Known(
        described(relayed, shown.own),
        ("relay", name, relayed.said, relayed.until, mine),
        shown.public and shown.alike,
        metadata,
    )


async def _page(known: Known, pages: Pages, version: str, base: str, *, whole: bool) -> Page:
    project = known.project
    release = project.release(version)
    if not release:
        raise errors.ReleaseNotFound(project.name, version)
    key = ("json", *known.key, canonical_version(release[0].version), base, whole)
    if (kept := pages.kept(key)) is not None:
        return kept
    best = legacy.describing(release)
    metadata = b"" if best is None else await known.metadata(best)

    def build() -> Page:
        body = legacy.render(project, release, metadata, base=base, whole=whole)
        return json_page(body, serial=project.serial)

    # Descriptions are long, and packaging reads them with the parser for mail.
    return await pages.remembered(key, build, slow=True)


def _response(request: Request, page: Page, known: Known) -> Response:
    response = page_response(request, page, public=known.public)
    if known.public:
        response.headers["Access-Control-Allow-Origin"] = "*"
    return response
