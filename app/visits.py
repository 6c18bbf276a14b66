"""Browsers that come back: the session's cookie, and what proves that a request is a page's own.

Cookies go along with whatever another site has a browser send; so one counts for our forms and
for calls of our pages alone, which say where they stand and carry the session's token (7.3).
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from app import errors
from app.access import sessions
from app.access.base import Access
from app.access.ledger import Sessions
from app.access.sessions import Visit
from app.models import Identity

COOKIE = "pypicloud"
CSRF = "x-csrf-token"
FORWARDED_USER = "pypicloud.forwarded_user"
"""The key of the scope with whom a trusted proxy let in (app.guard)."""
VISIT = "pypicloud.visit"
"""The key of the scope with the session that proves who calls."""
_LOOPBACK = ("127.0.0.1", "::1")


async def forwarded(request: HTTPConnection, access: Access, own: str) -> Identity | None:
    """Whom a trusted proxy has let in, where a setting names its header.

    A browser behind it is let in whoever had it ask, so another site's page may have it go to
    one of our pages, and no more. ``own`` is our origin.
    """
    name: str | None = request.scope.get(FORWARDED_USER)
    if name is None:
        return None
    if request.headers.get("origin", own) != own or (
        request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _goes(request)
    ):
        raise errors.Forbidden("This request comes from another site.")
    identity = await access.known(name)
    if identity is None:
        raise errors.Unauthenticated
    return identity


def _goes(request: HTTPConnection) -> bool:
    """Whether somebody follows a link."""
    goes = request.headers.get("sec-fetch-mode") == "navigate"
    return goes and request.scope["method"] in ("GET", "HEAD")


def calls(request: HTTPConnection, own: str) -> bool:
    """Whether one of our pages calls the API; ``own`` is their origin."""
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    if CSRF not in request.headers or not path.startswith("/api/v1/"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site") == "same-origin"
    return origin == own


def caller(request: HTTPConnection, visit: Visit | None) -> Identity | None:
    """Who calls: it proves that with its session's token."""
    if visit is None or not visit.carries(request.headers[CSRF]):
        return None
    request.scope[VISIT] = visit
    return visit.identity


def require_proof(request: HTTPConnection) -> None:
    """Raises errors.Forbidden for a change by a session whose login is too long ago.

    What is only looked at needs none, nor does whoever sends credentials with each request.
    """
    visit: Visit | None = request.scope.get(VISIT)
    if visit is None or request.scope["method"] in ("GET", "HEAD"):
        return
    if not visit.proved(datetime.now(UTC)):
        raise errors.Forbidden("Your login is too long ago for this; log in again.")


async def visiting(request: HTTPConnection, kept: Sessions, access: Access) -> Visit | None:
    """The session of the browser's cookie, where it holds."""
    name = cookie_name(request)
    secret = request.cookies.get(name) if name is not None else None
    if secret is None:
        return None
    return await sessions.visit(secret, kept, access, datetime.now(UTC))


def cookie_name(request: HTTPConnection) -> str | None:
    """What the session's cookie is called; None where it may not go over the wire.

    The prefix binds it to this host and to TLS; without TLS it is for loopback alone.
    """
    if request.scope["scheme"] == "https":
        return f"__Host-{COOKIE}"
    host, _ = request.scope.get("server") or ("", None)
    local = request.url.hostname in (*_LOOPBACK, "localhost")
    return COOKIE if local and host in _LOOPBACK else None


def own_origin(request: HTTPConnection, public_url: str | None) -> str:
    """The origin of our own pages, as browsers name it."""
    if public_url:
        parts = urlsplit(public_url)
        return f"{parts.scheme}://{parts.netloc}"
    return f"{request.scope['scheme']}://{request.headers.get('host', '')}"
