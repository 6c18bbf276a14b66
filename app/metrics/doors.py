"""Which door a request was at, as metrics call it: few words, whatever clients ask for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_FIRST: Mapping[str, str] = {
    "simple": "simple",
    "pypi": "json",
    "legacy": "upload",
    "integrity": "integrity",
    "rss": "feeds",
    "_": "oidc",
    "health": "health",
    "metrics": "metrics",
    "docs": "docs",
    "openapi.json": "docs",
}
_WEB = frozenset(
    {"", "project", "search", "upload", "login", "logout", "account", "admin", "sso", "static"}
)
_UPLOADS = frozenset({"", "legacy", "simple"})

DOORS = frozenset(
    {*_FIRST.values(), "simple_root", "files", "metadata", "xmlrpc", "api", "aliases"}
    | {"web", "other"}
)
"""All the words."""


def door(method: str, path: str, root_path: str = "") -> str:
    """The door of a path, which begins with ``root_path``; ``other`` for what leads nowhere."""
    if root_path and path.startswith(root_path):
        path = path[len(root_path) :]
    first, _, rest = path.lstrip("/").partition("/")
    if method == "POST":
        if first == "pypi" and rest in ("", "/"):
            return "xmlrpc"
        if first in _UPLOADS:
            return "upload"
    if first == "files":
        return "metadata" if path.endswith(".metadata") else "files"
    if first == "api":
        return "api" if rest.startswith("v1") else "aliases"
    if first == "simple" and rest.strip("/") == "":
        return "simple_root"
    return _FIRST.get(first) or ("web" if first in _WEB else "other")
