"""``/project/{project}/``: a project at its newest release or at another one.

Ours is shown here; what upstreams have is ``abroad``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request, Response
from packaging.utils import NormalizedName

from app import errors
from app.access import policy
from app.dependencies import (
    AccessDep,
    BaseUrlDep,
    DefaultsDep,
    DescriptionsDep,
    IndexDep,
    ShelfDep,
)
from app.index import Index
from app.models import File, Permission, Project
from app.routes import showing
from app.routes.reading import moved, project_name
from app.routes.shown import Abroad
from app.routes.web import abroad
from app.routes.web.downloads import DownloadsViewDep
from app.routes.web.looking import EACH, FoundDep, Look, LookDep, PageNumber, release_of
from app.routes.web.viewing import PageReaderDep, RootDep, ViewerDep, pages
from app.simple import legacy
from app.web import commands, facts, views
from app.web.abroad import Place
from app.web.facts import Facts
from app.web.releases import Release, Shelf, newest
from app.web.views import FileView, ProjectView, ReleaseLine, ReleasesView

router = pages()

DESCRIPTION_POLICY = (
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox "
    "allow-top-navigation-by-user-activation; default-src 'none'; style-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


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


async def show(
    request: Request,
    project: str,
    found: FoundDep,
    reader: PageReaderDep,
    index: IndexDep,
    shelf: ShelfDep,
    base: BaseUrlDep,
    manages: ManagesDep,
    look: LookDep,
    downloads: DownloadsViewDep,
) -> Response:
    """A release with its files, and the history beside it."""
    name = project_name(project)
    if name != project:
        return moved(request, base, _path(name, look.version))
    if isinstance(found, Abroad):
        return await abroad.show(request, found, reader.upstreams.shelf, look)
    releases = shelf.releases(found.project)
    latest = newest(releases)
    release = release_of(name, releases, look.version) if look.version else latest
    told = await facts_of(index, shelf, release)
    beside = reader.upstreams.shows_beside(found.project)
    view = _view(found.project, releases, release, told, look, manages=manages, beside=beside)
    return showing.show(request, "project.html", replace(view, downloads=downloads))


def _view(
    found: Project,
    releases: Sequence[Release],
    release: Release | None,
    told: Facts,
    look: Look,
    *,
    manages: bool,
    beside: bool,
) -> ProjectView:
    name, root, latest = found.name, look.root, newest(releases)
    files, filter = views.filtered(release.files if release else (), look.filter)
    last = views.pages(len(files), views.FILES)
    page = min(look.page, last)
    pinned = None if release is latest or release is None else release.version
    below = f"{root}/project/{quote(name)}/"
    return ProjectView(
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
        install=commands.install(look.outside, name, pinned) if look.outside and release else (),
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
        needing=look.needing,
        beside=Place(root=root, name=name, beside=True).project if beside else None,
    )


async def releases(
    request: Request,
    project: str,
    found: FoundDep,
    shelf: ShelfDep,
    base: BaseUrlDep,
    root: RootDep,
    page: PageNumber = 1,
) -> Response:
    """All releases, page by page."""
    name = project_name(project)
    if name != project:
        return moved(request, base, f"/project/{quote(name)}/releases")
    if isinstance(found, Abroad):
        return await abroad.releases(request, found, root, page)
    ours = found.project
    every = shelf.releases(ours)
    last = views.pages(len(every), EACH)
    page = min(page, last)
    view = ReleasesView(
        name=name,
        display_name=ours.display_name,
        url=f"{root}/project/{quote(name)}/",
        total=len(every),
        page=page,
        pages=last,
        releases=[
            ReleaseLine.of(ours, one, root) for one in every[(page - 1) * EACH : page * EACH]
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


async def facts_of(index: Index, shelf: Shelf, release: Release | None) -> Facts:
    """What the metadata of a release says, read once: it never changes."""
    described = legacy.describing(release.files) if release else None
    if described is None or described.metadata_sha256 is None:
        return Facts()
    try:
        return await shelf.facts(described.metadata_sha256, partial(index.metadata, described))
    except errors.KeyNotFound:  # the page tells what is known; a check tells what is lost
        return Facts()


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
