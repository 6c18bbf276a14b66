"""``/project/{project}/`` for what only an upstream has, and for what stands beside ours.

Nothing but the upstream's page is asked for: what files say of themselves stays theirs.
"""

from __future__ import annotations

import asyncio

from fastapi import Request, Response

from app import pages as rendered
from app.routes import showing
from app.routes.shown import Abroad
from app.routes.web.looking import EACH, Look, release_of
from app.upstream.kept import Shelf
from app.web import abroad, commands, views
from app.web.abroad import AbroadView, Place, TheirFile, TheirRelease, TheirReleasesView, Theirs


async def show(request: Request, found: Abroad, kept: Shelf, look: Look) -> Response:
    """A release with its files, the history beside it, and what rules hold back."""
    relayed = found.relayed
    theirs, place = await _theirs(found), _place(found, look.root)
    newest = theirs.newest
    release = release_of(relayed.name, theirs.releases, look.version) if look.version else newest
    files, filter = views.filtered(release.files if release else (), look.filter)
    last = views.pages(len(files), views.FILES)
    page = min(look.page, last)
    here = await kept.filenames(relayed.name) if files else frozenset()
    line = TheirRelease.of(release, theirs, place) if release else None
    pinned = None if release is newest or release is None else release.version
    says = abroad.standings(relayed)
    view = AbroadView(
        name=relayed.name,
        display_name=found.own.display_name if found.own else relayed.name,
        url=place.project,
        own=place.own if found.own else None,
        origin=", ".join(one.upstream for one in says),
        status=says[0].status,
        status_reason=says[0].reason,
        standings=says,
        release=line,
        latest=release is newest,
        latest_version=newest.version if newest else "",
        handed=newest is not None and theirs.withheld(newest) < len(newest.files),
        install=commands.install(look.outside, relayed.name, pinned)
        if look.outside and line and line.withheld < line.files
        else (),
        history=abroad.lines(theirs.releases[: views.HISTORY], theirs, place),
        releases=len(theirs.releases),
        all_releases=place.releases,
        files=[
            TheirFile.of(file, theirs, here, look.root)
            for file in files[(page - 1) * views.FILES : page * views.FILES]
        ],
        matching=len(files),
        page=page,
        pages=last,
        filter=filter,
        needing=look.needing,
    )
    return showing.show(request, "project_abroad.html", view)


async def releases(request: Request, found: Abroad, root: str, page: int) -> Response:
    """All their releases, page by page."""
    theirs, place = await _theirs(found), _place(found, root)
    every = theirs.releases
    last = views.pages(len(every), EACH)
    page = min(page, last)
    view = TheirReleasesView(
        name=found.relayed.name,
        display_name=found.own.display_name if found.own else found.relayed.name,
        url=place.project,
        total=len(every),
        page=page,
        pages=last,
        releases=abroad.lines(every[(page - 1) * EACH : page * EACH], theirs, place),
    )
    return showing.show(request, "releases.html", view)


async def _theirs(found: Abroad) -> Theirs:
    relayed = found.relayed
    if len(relayed.files) + len(relayed.refused) > rendered.SLOW:
        return await asyncio.to_thread(Theirs.of, relayed, found.own)
    return Theirs.of(relayed, found.own)


def _place(found: Abroad, root: str) -> Place:
    return Place(root=root, name=found.relayed.name, beside=found.own is not None)
