"""Preconditions (RFC 9110, section 13) and what answers say to caches (RFC 9111). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TAG = re.compile(r'(?:W/)?("[^"]*")')

FRESH = "max-age=0, must-revalidate"
"""For pages: a release is seen at once, and an unchanged page costs a 304."""
FOREVER = "max-age=31536000, immutable"
"""For files: a filename has one content for ever."""
WHO = ("Authorization", "Cookie")


def not_modified(if_none_match: Sequence[str], etag: str) -> bool:
    """Whether the ``If-None-Match`` headers hold ``etag``; compared weakly, as GET asks."""
    header = ",".join(if_none_match)
    return header.strip() == "*" or etag in _TAG.findall(header)


def range_holds(if_range: str | None, etag: str) -> bool:
    """Whether ``If-Range`` allows a part: absent, or exactly this strong tag."""
    return if_range is None or if_range.strip() == etag


def cache_headers(lifetime: str, *, public: bool, vary: Sequence[str] = ()) -> dict[str, str]:
    """``Cache-Control`` and ``Vary``; ``public``: everyone gets this answer, credentials or not."""
    varying = (*vary, *(() if public else WHO))
    headers = {"Cache-Control": lifetime if public else f"private, {lifetime}"}
    return {**headers, "Vary": ", ".join(varying)} if varying else headers
