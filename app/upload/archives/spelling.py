"""Whether the directory in an archive is the one that its filename promises."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[-_.+]+")


def same(found: str, promised: str, *, strict: bool) -> bool:
    """Equal; without ``strict`` up to case and separators, as older tools spelled them."""
    if strict or found == promised:
        return found == promised
    return _SEPARATORS.sub("-", found).lower() == _SEPARATORS.sub("-", promised).lower()
