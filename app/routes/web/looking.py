"""What is looked at on a project's page: whose project, which release, which files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from packaging.utils import NormalizedName

from app import errors
from app.dependencies import CatalogueDep, OutsideUrlDep
from app.names import canonical_version
from app.routes.reading import project_name
from app.routes.shown import Abroad, Shown
from app.routes.web.viewing import PageReaderDep, RootDep
from app.web.releases import Release
from app.web.views import FileFilter

NEEDING = 100
"""Projects that need one, on its page."""
EACH = 100
"""Releases on a page of all."""

Tag = Annotated[str, Query(max_length=100)]
PageNumber = Annotated[int, Query(ge=1, le=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A page that is wanted, and what URLs on it begin with; ``outside`` is for tools."""

    version: str
    page: int
    filter: FileFilter
    root: str
    outside: str | None
    needing: Sequence[str]


async def get_filter(python: Tag = "", abi: Tag = "", platform: Tag = "") -> FileFilter:
    """Which files are wanted."""
    return FileFilter(python=python, abi=abi, platform=platform)


async def get_found(project: str, reader: PageReaderDep, upstreams: bool = False) -> Shown | Abroad:
    """The path's project as far as the viewer may read it: ours, or else an upstream's.

    ``upstreams``: what upstreams have beside one of ours. Nobody is asked for that otherwise,
    so a page of ours does not wait for them.
    """
    name = project_name(project)
    found = await reader.listed(name, beside=upstreams)
    if upstreams and isinstance(found, Shown):
        raise errors.NotFound(f"No files of upstreams stand beside those of {name!r} here.")
    return found


FoundDep = Annotated[Shown | Abroad, Depends(get_found)]


async def get_needing(
    project: str, catalogue: CatalogueDep, reader: PageReaderDep, found: FoundDep
) -> Sequence[str]:
    """The projects that need the path's one, as far as the viewer may read them.

    ``found``: nothing is read for whoever may not see it.
    """
    wanted = await catalogue.facets.needing(project_name(project))
    if not wanted:
        return ()
    every = [one for one in await catalogue.newest() if one.name in wanted]
    return sorted(one.name for one in await reader.among(every))[:NEEDING]


async def get_look(
    root: RootDep,
    outside: OutsideUrlDep,
    filter: Annotated[FileFilter, Depends(get_filter)],
    needing: Annotated[Sequence[str], Depends(get_needing)],
    version: str = "",
    page: PageNumber = 1,
) -> Look:
    """What the path and the query name."""
    return Look(
        version=version, page=page, filter=filter, root=root, outside=outside, needing=needing
    )


LookDep = Annotated[Look, Depends(get_look)]


def release_of(name: NormalizedName, releases: Sequence[Release], version: str) -> Release:
    """The release that PEP 440 calls equal; errors.ReleaseNotFound."""
    wanted = canonical_version(version)
    for release in releases:
        if canonical_version(release.version) == wanted:
            return release
    raise errors.ReleaseNotFound(name, version)
