"""``/simple/``: the index (PEP 503, 691)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Query, Request, Response

from app.answers import ErrorResponse
from app.dependencies import (
    BaseUrlDep,
    FileBaseUrlDep,
    IndexDep,
    OfferDep,
    PagesDep,
    SettingsDep,
)
from app.routes import relaying
from app.routes.reading import ReaderDep, door, moved, page_response, project_name
from app.routes.router import Router
from app.routes.shown import Abroad
from app.simple import negotiate, render
from app.simple.negotiate import Coding, Format

router = Router(tags=["simple"])

VARY = ("Accept", "Accept-Encoding")
TYPES = tuple(format.value for format in Format)
UNACCEPTABLE = {406: "No type that the client takes."}

FormatQuery = Annotated[
    str | None, Query(alias="format", description="A media type; it beats the Accept header.")
]


@door(router, "/simple/", types=TYPES, responses=UNACCEPTABLE, summary="List the projects")
async def root(
    request: Request,
    reader: ReaderDep,
    index: IndexDep,
    pages: PagesDep,
    offer: OfferDep,
    format: FormatQuery = None,
) -> Response:
    """The projects that the caller may read, as HTML or JSON."""
    chosen = _format(request, format)
    if chosen is None:
        return _not_acceptable()
    listing = await index.listing()
    summaries = await reader.visible(listing.projects)
    page = await pages.root(summaries, chosen, _coding(request), serial=listing.serial)
    offer.hold_personal(known=reader.identity is not None)
    # Who may read nothing more than everyone gets the same list, but a cache cannot know.
    return page_response(request, page, public=False, vary=VARY)


@door(
    router,
    "/simple/{project}/",
    types=TYPES,
    responses={**UNACCEPTABLE, 301: "The project's normalised name."},
    summary="List the files of a project",
)
async def project(
    request: Request,
    project: str,
    reader: ReaderDep,
    pages: PagesDep,
    base: BaseUrlDep,
    files: FileBaseUrlDep,
    offer: OfferDep,
    settings: SettingsDep,
    format: FormatQuery = None,
) -> Response:
    """The files of a project, as HTML or JSON."""
    name = project_name(project)
    if name != project:
        return moved(request, base, f"/simple/{name}/")
    chosen = _format(request, format)
    if chosen is None:
        return _not_acceptable()
    shown = await reader.listed(name)
    if isinstance(shown, Abroad):
        page = await relaying.page(
            pages,
            shown,
            chosen,
            _coding(request),
            integrity=_integrity(files),
            paths=settings.upstream_paths,
        )
        relaying.hold(offer, shown)
        return page_response(request, page, public=shown.public and shown.alike, vary=VARY)
    page = await pages.project(shown.project, chosen, _coding(request), integrity=_integrity(files))
    if not reader.upstreams.shows_beside(shown.project):
        offer.hold()
    return page_response(request, page, public=shown.public, vary=VARY)


@door(router, "/legacy/+simple/{project}/", described=False)
async def uploaded(
    request: Request, project: str, reader: ReaderDep, pages: PagesDep, base: BaseUrlDep
) -> Response:
    """The page where hatch looks, below the upload URL, for what is there already."""
    name = project_name(project)
    if name != project:
        return moved(request, base, f"/legacy/+simple/{name}/")
    shown = await reader.project(name)
    page = await pages.project(
        shown.project, Format.TEXT, _coding(request), files=f"../{render.FILES}"
    )
    return page_response(request, page, public=shown.public, vary=("Accept-Encoding",))


@door(router, "/simple", described=False)
async def root_without_slash(request: Request, base: BaseUrlDep) -> Response:
    """Relative links need the slash."""
    return moved(request, base, "/simple/")


@door(router, "/simple/{project}", described=False)
async def project_without_slash(request: Request, project: str, base: BaseUrlDep) -> Response:
    """Relative links need the slash."""
    return moved(request, base, f"/simple/{project_name(project)}/")


@door(router, "/legacy/+simple/{project}", described=False)
async def uploaded_without_slash(request: Request, project: str, base: BaseUrlDep) -> Response:
    """Relative links need the slash."""
    return moved(request, base, f"/legacy/+simple/{project_name(project)}/")


def _format(request: Request, wanted: str | None) -> Format | None:
    accept = request.headers.getlist("accept")
    return negotiate.representation(",".join(accept) if accept else None, wanted)


def _coding(request: Request) -> Coding:
    return negotiate.coding(",".join(request.headers.getlist("accept-encoding")))


def _not_acceptable() -> Response:
    message = f"This page comes as {', '.join(TYPES)}."
    return ErrorResponse(406, message, {"Vary": ", ".join(VARY)})


def _integrity(base: str) -> str | None:
    """Where provenance is found: an absolute URL of a secure origin, or None (PEP 740)."""
    parts = urlsplit(base)
    secure = parts.scheme == "https" or parts.hostname in ("127.0.0.1", "::1", "localhost")
    return f"{base}/integrity/" if secure and parts.scheme else None
