"""``/pypi/{project}/json``: what bots, badges and mirrors read beside the Simple API."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app import errors
from app.dependencies import BaseUrlDep, FileBaseUrlDep, IndexDep, PagesDep
from app.index import Index
from app.models import File, Project, Status
from app.names import canonical_version
from app.pages import Page, Pages, json_page, version_key
from app.routes.reading import ReaderDep, Shown, door, moved, page_response, project_name
from app.simple import legacy

router = APIRouter(tags=["json"])

RENAMED = {301: "The project's normalised name."}


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
    shown = await reader.project(name)
    version = legacy.newest(_listed(shown.project))
    if version is None:
        raise errors.ProjectNotFound(name)
    page = await _page(index, pages, shown.project, version, files, whole=True)
    return _response(request, page, shown)


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
    shown = await reader.project(name)
    _listed(shown.project)
    page = await _page(index, pages, shown.project, version, files, whole=False)
    return _response(request, page, shown)


def _listed(project: Project) -> tuple[File, ...]:
    if project.status is Status.QUARANTINED:
        raise errors.Quarantined(project.name)
    return project.published


async def _page(
    index: Index, pages: Pages, project: Project, version: str, base: str, *, whole: bool
) -> Page:
    release = project.release(version)
    if not release:
        raise errors.ReleaseNotFound(project.name, version)
    key = ("json", *version_key(project), canonical_version(release[0].version), base, whole)
    if (kept := pages.kept(key)) is not None:
        return kept
    described = legacy.describing(release)
    metadata = b"" if described is None else await index.metadata(described)

    def build() -> Page:
        body = legacy.render(project, release, metadata, base=base, whole=whole)
        return json_page(body, serial=project.serial)

    # Descriptions are long, and packaging reads them with the parser for mail.
    return await pages.remembered(key, build, slow=True)


def _response(request: Request, page: Page, shown: Shown) -> Response:
    response = page_response(request, page, public=shown.public)
    if shown.public:
        response.headers["Access-Control-Allow-Origin"] = "*"
    return response
