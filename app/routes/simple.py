"""``/simple/``: the index (PEP 503, 691)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.answers import ErrorResponse
from app.dependencies import BaseUrlDep, IndexDep, PagesDep
from app.routes.reading import ReaderDep, door, moved, page_response, project_name
from app.simple import negotiate, render
from app.simple.negotiate import Coding, Format

router = APIRouter(tags=["simple"])

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
    format: FormatQuery = None,
) -> Response:
    """The projects that the caller may read, as HTML or JSON."""
    chosen = _format(request, format)
    if chosen is None:
        return _not_acceptable()
    # Read before the projects: what is newer than the serial may be in the list, nothing
    # that is as old as it is missing.
    serial = await index.shown_serial()
    summaries = await reader.visible(await index.projects())
    page = await pages.root(summaries, chosen, _coding(request), serial=serial)
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
    format: FormatQuery = None,
) -> Response:
    """The files of a project, as HTML or JSON."""
    name = project_name(project)
    if name != project:
        return moved(request, base, f"/simple/{name}/")
    chosen = _format(request, format)
    if chosen is None:
        return _not_acceptable()
    shown = await reader.project(name)
    page = await pages.project(shown.project, chosen, _coding(request))
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
