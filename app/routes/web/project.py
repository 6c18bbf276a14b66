"""``/project/{project}/``: a project at its newest release or at another one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Query, Request, Response
from packaging.utils import NormalizedName

from app import errors
from app.access import policy
from app.dependencies import (
    AccessDep,
    BaseUrlDep,
    CatalogueDep,
    DefaultsDep,
    DescriptionsDep,
    IndexDep,
    OutsideUrlDep,
    ShelfDep,
)
from app.index import Index
from app.models import File, Permission
from app.names import canonical_version
from app.routes import showing
from app.routes.reading import moved, project_name
from app.routes.web.downloads import DownloadsViewDep
from app.routes.web.viewing import PageReaderDep, RootDep, ViewerDep, pages
from app.simple import legacy
from app.web import commands, facts, views
from app.web.facts import Facts
from app.web.releases import Release, Shelf, newest
from app.web.views import FileFilter, FileView, ProjectView, ReleaseLine, ReleasesView

router = pages()

NEEDING = 100
"""Projects that need one, on its page."""
EACH = 100
"""Releases on a page of all."""
DESCRIPTION_POLICY = (
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox "
    "allow-top-navigation-by-user-activation; default-src 'none'; style-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

Tag = Annotated[str, Query(max_length=100)]


async def get_filter(python: Tag = "", abi: Tag = "", platform: Tag = "") -> FileFilter:
    """Which files are wanted."""
    return FileFilter(python=python, abi=abi, platform=platform)


FilterDep = Annotated[FileFilter, Depends(get_filter)]
PageNumber = Annotated[int, Query(ge=1, le=10_000)]


async def get_manages(
    project: str, viewer: ViewerDep, access: AccessDep, defaults: DefaultsDep, index: IndexDep
) -> bool:
    """Whether the viewer manages the path's project: pages show what they may do."""
    if viewer.identity is None:
        return False
    name = project_name(project)
    generation = await index.generation(name)
    grants = await access.grants(name, generation)
    return policy.allows(viewer.identity, Permission.MANAGE, name, generation, grants, defaults)


ManagesDep = Annotated[bool, Depends(get_manages)]


async def get_needing(
    project: str, catalogue: CatalogueDep, reader: PageReaderDep
) -> Sequence[str]:
    """The projects that need the path's one, as far as the viewer may read them."""
    name = project_name(project)
    await reader.project(name)  # nothing is read for whoever may not see it
    wanted = await catalogue.facets.needing(name)
    every = [one for one in await catalogue.newest() if one.name in wanted]
    return sorted(one.name for one in await reader.visible(every))[:NEEDING]


NeedingDep = Annotated[Sequence[str], Depends(get_needing)]


async def show(
    request: Request,
    project: str,
    reader: PageReaderDep,
    index: IndexDep,
    shelf: ShelfDep,
    wanted: FilterDep,
    base: BaseUrlDep,
    root: RootDep,
    outside: OutsideUrlDep,
    manages: ManagesDep,
    needing: NeedingDep,
    downloads: DownloadsViewDep,
    version: str = "",
    page: PageNumber = 1,
) -> Response:
    """A release with its files, and the history beside it."""
    name = project_name(project)
    found = (await reader.project(name)).project
    if name != project:
        return moved(request, base, _path(name, version))
    releases = shelf.releases(found)
    latest = newest(releases)
    release = release_of(name, releases, version) if version else latest
    told = await facts_of(index, shelf, release)
    files, filter = views.filtered(release.files if release else (), wanted)
    last = views.pages(len(files), views.FILES)
    page = min(page, last)
    pinned = None if release is latest or release is None else release.version
    below = f"{root}/project/{quote(name)}/"
    view = ProjectView(
        name=name,
        display_name=found.display_name,
        url=below,
        status=found.status,
        status_reason=found.status_reason,
        release=ReleaseLine.of(found, release, root) if release else None,
        latest=release is latest,
        latest_version=latest.version if latest else "",
        origin=views.origin(release.files if release else ()),
        summary=told.summary or (release.files[0].summary if release else ""),
        facts=told,
        install=commands.install(outside, name, pinned) if outside and release else (),
        description=f"{ReleaseLine.of(found, release, root).url}description"
        if release and told.described
        else None,
        history=[ReleaseLine.of(found, one, root) for one in releases[: views.HISTORY]],
        releases=len(releases),
        files=[FileView.of(file, root) for file in _on_page(files, page)],
        matching=len(files),
        page=page,
        pages=last,
        filter=filter,
        feed=f"{root}/rss/project/{quote(name)}/releases.xml",
        manageable=manages,
        needing=needing,
        downloads=downloads,
    )
    return showing.show(request, "project.html", view)


async def releases(
    request: Request,
    project: str,
    reader: PageReaderDep,
    shelf: ShelfDep,
    base: BaseUrlDep,
    root: RootDep,
    page: PageNumber = 1,
) -> Response:
    """All releases, page by page."""
    name = project_name(project)
    found = (await reader.project(name)).project
    if name != project:
        return moved(request, base, f"/project/{quote(name)}/releases")
    every = shelf.releases(found)
    last = views.pages(len(every), EACH)
    page = min(page, last)
    view = ReleasesView(
        name=name,
        display_name=found.display_name,
        url=f"{root}/project/{quote(name)}/",
        total=len(every),
        page=page,
        pages=last,
        releases=[
            ReleaseLine.of(found, one, root) for one in every[(page - 1) * EACH : page * EACH]
        ],
    )
    return showing.show(request, "releases.html", view)


async def description(
    request: Request,
    project: str,
    version: str,
    reader: PageReaderDep,
    index: IndexDep,
    shelf: ShelfDep,
    descriptions: DescriptionsDep,
) -> Response:
    """The description of a release by itself, for the frame that it is shown in.

    It has a policy of its own: no script, no form, nothing from elsewhere (T16, T17).
    """
    name = project_name(project)
    found = (await reader.project(name)).project
    release = release_of(name, shelf.releases(found), version)
    metadata = await _metadata(index, release)
    document = await asyncio.to_thread(facts.described, metadata)
    html = await descriptions.html(document)
    response = showing.show(
        request, "description.html", document, html=html, title=f"{found.display_name} {version}"
    )
    response.headers["Content-Security-Policy"] = DESCRIPTION_POLICY
    return response


async def slashless(
    request: Request, project: str, base: BaseUrlDep, version: str = ""
) -> Response:
    """Pages end with a slash."""
    return moved(request, base, _path(project_name(project), version))


def _on_page(files: Sequence[File], page: int) -> Sequence[File]:
    return files[(page - 1) * views.FILES : page * views.FILES]


def _path(name: NormalizedName, version: str) -> str:
    return f"/project/{name}/{version}/" if version else f"/project/{name}/"


def release_of(name: NormalizedName, releases: tuple[Release, ...], version: str) -> Release:
    """The release that PEP 440 calls equal; errors.ReleaseNotFound."""
    wanted = canonical_version(version)
    for release in releases:
        if canonical_version(release.version) == wanted:
            return release
    raise errors.ReleaseNotFound(name, version)


async def facts_of(index: Index, shelf: Shelf, release: Release | None) -> Facts:
    """What the metadata of a release says, read once: it never changes."""
    described = legacy.describing(release.files) if release else None
    if described is None or described.metadata_sha256 is None:
        return Facts()
    return await shelf.facts(described.metadata_sha256, partial(index.metadata, described))


async def _metadata(index: Index, release: Release) -> bytes:
    described = legacy.describing(release.files)
    return b"" if described is None else await index.metadata(described)


for method in ("GET", "HEAD"):
    router.add_api_route("/project/{project}", slashless, methods=[method])
    router.add_api_route("/project/{project}/", show, methods=[method])
    router.add_api_route("/project/{project}/releases", releases, methods=[method])
    router.add_api_route("/project/{project}/{version}", slashless, methods=[method])
    router.add_api_route("/project/{project}/{version}/", show, methods=[method])
    router.add_api_route("/project/{project}/{version}/description", description, methods=[method])
