"""Browsers: the session's cookie, forms that are ours, and pages under a strict policy (7.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from app import errors
from app.access.sessions import WHOLE, Visit
from app.dependencies import own_origin, visiting
from app.routes import showing
from app.routes.showing import Viewer
from app.visits import cookie_name

FORM = 64 * 1024
LONGEST_WAY = 500
"""Characters of a page's path and query that a login leads back to."""
POLICY = showing.POLICY
_HEADERS = {**showing.policy_headers(), "Cache-Control": "no-store"}
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*\Z")

Form = Mapping[str, list[str]]


class Elsewhere(Exception):
    """The browser is to go to another page of ours first."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def page(
    request: Request, name: str, *, status: int = 200, told: object = None, **values: Any
) -> Response:
    """A page of ours, rendered; nothing keeps it. ``told`` is what it says, for who wants JSON."""
    if told is not None and showing.wants(request) == showing.JSON:
        headers = {**_HEADERS, "Vary": "Accept, Cookie"}
        return JSONResponse(jsonable_encoder(told), status, headers=headers)
    text = showing.text(request, name, **values)
    return Response(text, status, media_type="text/html", headers=_HEADERS)


def later(response: Response, error: errors.TooManyAttempts) -> Response:
    """A page that says when to come back."""
    response.headers["Retry-After"] = str(error.retry_after)
    return response


def go(request: Request, path: str) -> Response:
    """See another page of ours; the location has no host."""
    root = request.scope.get("root_path", "")
    location = f"{root}{quote(path, safe='/?=&%:+,@!~-._')}"
    return Response(status_code=303, headers={"Location": location, "Cache-Control": "no-store"})


def login(request: Request) -> str:
    """Where one logs in, and comes back from to this page; a very long way back is not kept."""
    back = showing.text_path(request)
    return f"/login?next={quote(back)}" if len(back) <= LONGEST_WAY else "/login"


def local(path: str) -> str:
    """A path of ours to go on to, ``/account`` for whatever is none (an open redirect)."""
    plain = bool(_LOCAL_PATH.match(path)) and not urlsplit(path).netloc and "\\" not in path
    return path if plain else "/account"


async def form(request: Request) -> Form:
    """What a form of ours sent. Raises errors.Forbidden for one that stands elsewhere."""
    check_origin(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise errors.Invalid("A form is application/x-www-form-urlencoded.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM:
            raise errors.TooLarge("The form is too large.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
        )
    except ValueError:
        raise errors.Invalid("The form cannot be read.") from None
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def check_origin(request: Request) -> None:
    """Raises errors.Forbidden for a request that another site had the browser send (T22)."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin") or (origin is None and site is None):
        raise errors.Forbidden("This request comes from another site.")
    if origin is not None and origin != own_origin(request):
        raise errors.Forbidden("This request comes from another site.")


def one(form: Form, name: str) -> str:
    """A field's only value; empty where it is missing, errors.Invalid where it came twice."""
    values = form.get(name, [""])
    if len(values) > 1:
        raise errors.Invalid(f"The field {name!r} came twice.")
    return values[0]


async def get_visit(request: Request) -> Visit:
    """Who visits; whoever has no session is sent to log in, and comes back."""
    visit = await visiting(request)
    if visit is None:
        raise Elsewhere(login(request) if request.method != "POST" else "/login")
    request.scope[showing.VIEWER] = Viewer(identity=visit.identity, visit=visit, logs_in=True)
    return visit


VisitDep = Annotated[Visit, Depends(get_visit)]


async def own_form(request: Request, visit: Visit) -> Form:
    """What a form of this very session sent; errors.Forbidden for any other."""
    sent = await form(request)
    if not visit.carries(one(sent, "csrf")):
        raise errors.Forbidden("This form is too old; load the page again.")
    return sent


def remember(request: Request, response: Response, secret: str) -> None:
    """Have the browser keep the session's secret."""
    name = cookie_name(request)
    if name is None:
        raise errors.Forbidden("Logging in needs https.")
    response.set_cookie(
        name,
        secret,
        max_age=int(WHOLE.total_seconds()),
        path="/",
        secure=name.startswith("__Host-"),
        httponly=True,
        samesite="lax",
    )


def forget(request: Request, response: Response) -> None:
    """Have it forget."""
    if (name := cookie_name(request)) is not None:
        secure = name.startswith("__Host-")
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


async def elsewhere(request: Request, error: Exception) -> Response:
    """Answers Elsewhere."""
    return go(request, str(error))


def now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)
