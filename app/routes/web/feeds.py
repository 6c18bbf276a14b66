"""``/rss/``: feeds of the newest releases and projects, as whoever asks may read them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from urllib.parse import quote

from fastapi import Request, Response

from app import errors
from app.dependencies import CatalogueDep, IndexDep, OutsideUrlDep, ShelfDep
from app.index import Index
from app.models import Project, ProjectSummary
from app.routes import conditional
from app.routes.reading import project_name
from app.routes.web.viewing import PageReaderDep, RootDep, pages
from app.web import feeds
from app.web.feeds import Entry, Feed
from app.web.releases import Release, Shelf

router = pages()

MOST = 40
"""Entries of a feed."""
CHANGES = 5000
"""So many of the last changes are searched for new projects."""


async def releases(
    request: Request,
    catalogue: CatalogueDep,
    reader: PageReaderDep,
    index: IndexDep,
    shelf: ShelfDep,
    base: OutsideUrlDep,
    root: RootDep,
) -> Response:
    """The newest releases of all projects."""
    summaries = (await reader.visible(await catalogue.newest()))[:MOST]
    found = await _projects(index, summaries)
    entries = sorted(
        (one for project in found for one in _entries(project, shelf, base or root)),
        key=lambda entry: entry.time,
        reverse=True,
    )
    return _feed(request, "Newest releases", f"{base or root}/", entries[:MOST])


async def projects(
    request: Request,
    catalogue: CatalogueDep,
    reader: PageReaderDep,
    index: IndexDep,
    shelf: ShelfDep,
    base: OutsideUrlDep,
    root: RootDep,
) -> Response:
    """The projects that began last."""
    visible = {one.name: one for one in await reader.visible(await catalogue.newest())}
    after = max(0, await index.shown_serial() - CHANGES)
    begun: dict[str, ProjectSummary] = {}
    while changes := await index.history.changes(after):
        for change in changes:
            if change.action == "claim" and change.project in visible:
                begun.pop(change.project, None)
                begun[change.project] = visible[change.project]
        after = changes[-1].serial
    newest = list(reversed(begun.values()))[:MOST]
    entries = []
    for project in await _projects(index, newest):
        if every := _entries(project, shelf, base or root):
            first = every[-1]
            entries.append(
                Entry(
                    title=project.display_name,
                    url=f"{base or root}/project/{quote(project.name)}/",
                    summary=first.summary,
                    time=first.time,
                )
            )
    return _feed(request, "Newest projects", f"{base or root}/", entries)


async def project(
    request: Request,
    project: str,
    reader: PageReaderDep,
    shelf: ShelfDep,
    base: OutsideUrlDep,
    root: RootDep,
) -> Response:
    """The newest releases of one project."""
    name = project_name(project)
    found = (await reader.project(name)).project
    entries = sorted(_entries(found, shelf, base or root), key=lambda e: e.time, reverse=True)
    url = f"{base or root}/project/{quote(name)}/"
    return _feed(request, f"Releases of {found.display_name}", url, entries[:MOST])


async def _projects(index: Index, summaries: Iterable[ProjectSummary]) -> list[Project]:
    """Those that are still there."""
    found = await asyncio.gather(
        *(index.project(one.name) for one in summaries), return_exceptions=True
    )
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, errors.ProjectNotFound):
            raise one
    return [one for one in found if isinstance(one, Project)]


def _entries(project: Project, shelf: Shelf, base: str) -> list[Entry]:
    return [_entry(project, release, base) for release in shelf.releases(project)[:MOST]]


def _entry(project: Project, release: Release, base: str) -> Entry:
    version = quote(release.version, safe="!+")
    return Entry(
        title=f"{project.display_name} {release.version}",
        url=f"{base}/project/{quote(project.name)}/{version}/",
        summary=release.files[-1].summary,
        time=release.time,
    )


def _feed(request: Request, title: str, url: str, entries: list[Entry]) -> Response:
    about = "What is new at this package index"
    body = feeds.render(Feed(title=title, url=url, description=about, entries=entries))
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, **conditional.cache_headers("no-cache", public=False)}
    if conditional.not_modified(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/rss+xml", headers=headers)


for method in ("GET", "HEAD"):
    router.add_api_route("/rss/updates.xml", releases, methods=[method])
    router.add_api_route("/rss/packages.xml", projects, methods=[method])
    router.add_api_route("/rss/project/{project}/releases.xml", project, methods=[method])
