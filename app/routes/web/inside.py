"""Looking into a wheel or sdist, and comparing two releases, without downloading them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import Path, Query, Request, Response

from app import errors, names
from app.dependencies import ArchivesDep, IndexDep, ShelfDep
from app.models import File, Kind
from app.routes import showing
from app.routes.reading import project_name
from app.routes.web.looking import release_of
from app.routes.web.project import facts_of
from app.routes.web.viewing import PageReaderDep, RootDep, pages
from app.web import comparing, entry_points
from app.web.archives import Member, Text
from app.web.comparing import Comparison
from app.web.entry_points import EntryPointsView

router = pages()

MOST = 2000
"""Members that a page lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideView:
    """What is in a file, or one of what is in it."""

    project: str
    project_url: str
    filename: str
    total: int
    unpacked: int
    members: tuple[Member, ...]
    member: str
    content: Text | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """Two releases, and the files of them that were compared."""

    project: str
    display_name: str
    project_url: str
    before: str
    after: str
    former: str
    newer: str
    versions: tuple[str, ...]
    comparison: Comparison


async def inside(
    request: Request,
    project: str,
    filename: str,
    reader: PageReaderDep,
    index: IndexDep,
    archives: ArchivesDep,
    root: RootDep,
    member: Annotated[str, Query(max_length=1024)] = "",
) -> Response:
    """The members of a file, or the text of one."""
    name = project_name(project)
    file = (await reader.file(name, filename)).file
    content = partial(_content, index, file)
    found = await archives.members(file, content)
    text = await archives.text(file, content, member) if member else None
    view = InsideView(
        project=name,
        project_url=f"{root}/project/{quote(name)}/",
        filename=file.filename,
        total=len(found),
        unpacked=sum(one.size for one in found),
        members=found[:MOST] if text is None else (),
        member=member,
        content=text,
    )
    largest = max((one.size for one in view.members), default=1) or 1
    return showing.show(request, "inside.html", view, largest=largest)


async def compare(
    request: Request,
    project: str,
    reader: PageReaderDep,
    index: IndexDep,
    shelf: ShelfDep,
    archives: ArchivesDep,
    root: RootDep,
    before: Annotated[str, Query(max_length=names.VERSION_LENGTH)],
    after: Annotated[str, Query(max_length=names.VERSION_LENGTH)],
) -> Response:
    """How one release differs from another: metadata, and the files of one distribution."""
    name = project_name(project)
    found = (await reader.project(name)).project
    releases = shelf.releases(found)
    first, second = release_of(name, releases, before), release_of(name, releases, after)
    former, newer = comparing.counterparts(first.files, second.files)
    members = [
        await archives.members(file, partial(_content, index, file)) for file in (former, newer)
    ]
    comparison = await asyncio.to_thread(  # there may be a hundred thousand members
        comparing.compare,
        await facts_of(index, shelf, first),
        await facts_of(index, shelf, second),
        comparing.Archive(members[0], former.version),
        comparing.Archive(members[1], newer.version),
        most=MOST // 3,
    )
    view = ComparisonView(
        project=name,
        display_name=found.display_name,
        project_url=f"{root}/project/{quote(name)}/",
        before=first.version,
        after=second.version,
        former=former.filename,
        newer=newer.filename,
        versions=tuple(one.version for one in releases[:MOST]),
        comparison=comparison,
    )
    return showing.show(request, "compare.html", view)


async def declared(
    request: Request,
    project: str,
    version: Annotated[str, Path(max_length=names.VERSION_LENGTH)],
    reader: PageReaderDep,
    index: IndexDep,
    shelf: ShelfDep,
    archives: ArchivesDep,
    root: RootDep,
) -> Response:
    """The entry points of a release, as one of its wheels declares them."""
    name = project_name(project)
    found = (await reader.project(name)).project
    release = release_of(name, shelf.releases(found), version)
    wheel = next((file for file in release.files if file.kind is Kind.WHEEL), None)
    if wheel is None:
        raise errors.NotFound("This release has no wheel, which would declare entry points.")
    content = partial(_content, index, wheel)
    listed = entry_points.member(one.name for one in await archives.members(wheel, content))
    text = (await archives.text(wheel, content, listed)).text if listed else ""
    groups = None if text is None else entry_points.parsed(text)
    view = EntryPointsView(
        project=name,
        project_url=f"{root}/project/{quote(name)}/",
        version=release.version,
        filename=wheel.filename,
        groups=groups or {},
        readable=groups is not None,
    )
    return showing.show(request, "entry_points.html", view)


def _content(index: IndexDep, file: File) -> AsyncIterator[bytes]:
    return index.content(file)


for method in ("GET", "HEAD"):
    router.add_api_route("/project/{project}/inside/{filename}", inside, methods=[method])
    router.add_api_route("/project/{project}/compare", compare, methods=[method])
    router.add_api_route("/project/{project}/{version}/entry-points", declared, methods=[method])
