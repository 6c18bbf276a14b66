"""Pages: a view, written by a template or as JSON, with an entity tag and a strict policy."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import Request, Response
from jinja2 import DictLoader, Environment, StrictUndefined

from app.access import policy
from app.access.sessions import Visit
from app.models import Identity
from app.routes import conditional
from app.simple import negotiate
from app.simple.negotiate import Coding
from app.visits import cookie_name
from app.web import languages

HTML, JSON = "text/html", "application/json"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
STATIC = Path(__file__).parent.parent / "static"
ASSETS = {
    "pages.css": "text/css",
    "description.css": "text/css",
    "pages.js": "text/javascript",
    "theme.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
VARY = ("Accept", "Accept-Language", "Accept-Encoding")
VIEWER = "pypicloud.viewer"
"""The key of the scope with whoever looks at a page."""
_MIN_PACKED = 1024


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages are made of, read once."""

    body: bytes
    packed: bytes
    kind: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks at a page; ``logs_in``: a session's cookie could come back from here."""

    identity: Identity | None = None
    visit: Visit | None = None
    logs_in: bool = False

    @property
    def name(self) -> str:
        """The user's name; empty for the anonymous."""
        return self.identity.actor.id if self.identity else ""

    @property
    def admin(self) -> bool:
        """Whether they administer."""
        return self.identity is not None and policy.administers(self.identity)

    @property
    def csrf(self) -> str:
        """What the forms of their session carry."""
        return self.visit.session.csrf if self.visit else ""


def _assets() -> Mapping[str, Asset]:
    found = {}
    for name, kind in ASSETS.items():
        body = (STATIC / name).read_bytes()
        version = hashlib.sha256(body).hexdigest()[:12]
        found[name] = Asset(body, gzip.compress(body, mtime=0), kind, version)
    return found


LOADED = _assets()
TEMPLATES = Path(__file__).parent.parent / "templates"
_PAGES = Environment(
    # Read now, not in the event loop; compiled by the first page that needs it.
    loader=DictLoader({path.name: path.read_text() for path in TEMPLATES.iterdir()}),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def wants(request: Request) -> str | None:
    """HTML or JSON; None: neither. Whoever takes anything gets HTML."""
    accept = request.headers.getlist("accept")
    return negotiate.preferred(",".join(accept) if accept else None, (HTML, JSON))


def browses(request: Request) -> bool:
    """Whether a browser asks: it names HTML. Others get errors as the API says them."""
    accept = ",".join(request.headers.getlist("accept")).lower()
    return HTML in accept and wants(request) == HTML


def language(request: Request) -> languages.Language:
    """The reader's language."""
    accepted = ",".join(request.headers.getlist("accept-language"))
    return languages.choose(accepted, request.query_params.get("lang", ""))


def asset_url(request: Request, name: str) -> str:
    """Where an asset is, as it is now."""
    return f"{request.scope.get('root_path', '')}/assets/{name}?v={LOADED[name].version}"


def viewer_of(request: Request) -> Viewer:
    """Who looks, as far as that is known by now."""
    found: Viewer | None = request.scope.get(VIEWER)
    return found or Viewer(logs_in=cookie_name(request) is not None)


def text(request: Request, name: str, **values: Any) -> str:
    """A template, rendered for the reader."""
    chosen = language(request)
    now = datetime.now(UTC)
    viewer = viewer_of(request)
    return _PAGES.get_template(name).render(
        {
            "root": request.scope.get("root_path", ""),
            "_": chosen.text,
            "n_": chosen.plural,
            "ago": lambda time: chosen.ago(time, now),
            "left": lambda time: chosen.left(time, now),
            "size": languages.size,
            "language": chosen,
            "languages": languages.LANGUAGES.values(),
            "asset": lambda name: asset_url(request, name),
            "viewer": viewer,
            "csrf": viewer.csrf,
            "here": text_path(request),
            "address": lambda **changed: _address(request, changed),
            **values,
        }
    )


def show(
    request: Request, name: str, view: object, *, status: int = 200, **values: Any
) -> Response:
    """A page of a view; 304 for whoever has it already."""
    if wants(request) == JSON:
        return _send(request, msgspec.json.encode(view), JSON, status)
    body = text(request, name, view=view, **values).encode()
    return _send(request, body, HTML, status)


def policy_headers() -> dict[str, str]:
    """The headers of every page.

    With no referrer at all browsers would say "Origin: null" of our own forms.
    """
    return {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}


def _send(request: Request, body: bytes, kind: str, status: int) -> Response:
    # What is packed together with a secret tells its length (BREACH).
    packs = not viewer_of(request).csrf and len(body) >= _MIN_PACKED and _takes_gzip(request)
    if packs:
        body = gzip.compress(body, 5, mtime=0)
    etag = f'"{hashlib.sha256(kind.encode() + body).hexdigest()[:32]}"'
    headers = {
        "ETag": etag,
        **policy_headers(),
        **conditional.cache_headers("no-cache", public=False, vary=VARY),
        **({"Content-Encoding": "gzip"} if packs else {}),
    }
    if status == 200 and conditional.not_modified(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, status, media_type=kind, headers=headers)


def _takes_gzip(request: Request) -> bool:
    accepted = ",".join(request.headers.getlist("accept-encoding"))
    return "gzip" in accepted and negotiate.coding(accepted) is not Coding.IDENTITY


def text_path(request: Request) -> str:
    """The page's own path and query, to come back to."""
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    query = request.scope["query_string"].decode("ascii", "replace")
    return f"{quote(path)}?{query}" if query else quote(path)


def _address(request: Request, changed: Mapping[str, object]) -> str:
    """This page with other values in its query; None takes one out."""
    kept = {name: value for name, value in request.query_params.items() if name not in changed}
    kept |= {name: str(value) for name, value in changed.items() if value is not None}
    return "?" + "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in kept.items())
