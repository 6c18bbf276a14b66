"""Who looks at a page, what they may see, and how errors look to a browser."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app import answers, errors
from app.answers import ErrorResponse
from app.dependencies import (
    AccessDep,
    DefaultsDep,
    IdentityDep,
    IndexDep,
    UpstreamsDep,
    get_settings,
    visiting,
)
from app.hot.offer import Offer
from app.reports import IDENTITY
from app.routes import browsing, showing
from app.routes.reading import Reader
from app.routes.router import Router
from app.routes.showing import Viewer
from app.visits import cookie_name
from app.web.views import ErrorView


class PageRoute(APIRoute):
    """Browsers get pages also where something is wrong; whoever is not known logs in first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint, its errors answered as pages."""
        endpoint = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await endpoint(request)
            except (errors.PypicloudError, RequestValidationError) as error:
                if not showing.browses(request):
                    raise
                return await _answered(request, error)

        return handler


def pages() -> Router:
    """A router of pages."""
    return Router(include_in_schema=False, route_class=PageRoute)


async def missing(request: Request, error: HTTPException) -> Response:
    """Answers an error of the framework: for browsers, by a page."""
    found = await answers.http(request, error)
    return error_page(request, found) if showing.browses(request) else found


async def _answered(request: Request, error: Exception) -> Response:
    if isinstance(error, errors.Unauthenticated) and _may_log_in(request):
        return browsing.go(request, browsing.login(request))
    if isinstance(error, RequestValidationError):
        return error_page(request, await answers.invalid(request, error))
    return error_page(request, await answers.ours(request, error))


def _may_log_in(request: Request) -> bool:
    unsent = "authorization" not in request.headers
    return unsent and request.method == "GET" and cookie_name(request) is not None


def error_page(request: Request, found: ErrorResponse) -> Response:
    """The same answer for people."""
    view = ErrorView(code=f"{found.status_code}", message=found.message)
    response = browsing.page(request, "error.html", status=found.status_code, view=view)
    for name in ("www-authenticate", "retry-after", "allow"):
        if name in found.headers:
            response.headers[name] = found.headers[name]
    return response


async def get_viewer(request: Request, identity: IdentityDep) -> Viewer:
    """Who looks: by credentials, or by the session of the browser. Pages only show."""
    visit = None
    if identity is None:
        visit = await visiting(request)
        identity = visit.identity if visit else None
        request.scope[IDENTITY] = identity
    logs_in = cookie_name(request) is not None
    viewer = Viewer(identity=identity, visit=visit, logs_in=logs_in)
    request.scope[showing.VIEWER] = viewer
    return viewer


ViewerDep = Annotated[Viewer, Depends(get_viewer)]


async def get_page_reader(
    index: IndexDep,
    access: AccessDep,
    defaults: DefaultsDep,
    viewer: ViewerDep,
    upstreams: UpstreamsDep,
) -> Reader:
    """The index as the viewer may see it. No page is offered to be given again."""
    return Reader(index, access, defaults, viewer.identity, Offer(since=0), upstreams)


PageReaderDep = Annotated[Reader, Depends(get_page_reader)]


async def get_root(request: Request) -> str:
    """What links of pages begin with: the root path, never a host."""
    return (await get_settings(request)).root_path


RootDep = Annotated[str, Depends(get_root)]
