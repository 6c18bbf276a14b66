"""Which bytes a ``Range`` header asks for (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_SINGLE = re.compile(r"bytes=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*\Z", re.IGNORECASE)


class Span(NamedTuple):
    """The bytes from ``start`` to before ``end``."""

    start: int
    end: int


class Unsatisfiable(ValueError):
    """No byte of the representation is in the range: 416."""


def span(header: str | None, size: int) -> Span | None:
    """The one range asked for, clipped to the ``size`` of the whole; None: send the whole.

    A server may ignore the header: this one does for several ranges (nobody who installs
    asks for them), for other units, and for what is no range at all. Raises Unsatisfiable.
    """
    match = _SINGLE.match(header or "")
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, end = max(0, size - int(match[2])), size
    else:
        start = int(match[1])
        end = size if match[2] == "" else min(size, int(match[2]) + 1)
        if match[2] and int(match[2]) < start:
            return None
    if start >= end:
        raise Unsatisfiable
    return Span(start, end)
