"""An answer as it went out, taken apart so that it can go out again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from packaging.utils import NormalizedName

from app.access.base import Grants
from app.metrics import Count
from app.models import Identity

Lines = tuple[tuple[bytes, bytes], ...]

REQUEST_ID = b"x-request-id"

ALLOWED = 2000
"""Credentials that are remembered with an answer."""

_ONLY_WHOLE = frozenset({b"content-type", b"content-length", b"content-encoding", b"accept-ranges"})


@dataclass(slots=True)
class Answer:
    """An answer as it went out, without what differs each time: date and request id.

    ``before`` and ``after`` are the header lines around the request id, joined; ``reason`` is
    the reason phrase where it is not the status code's own. ``until`` is
    of time.monotonic; ``grants`` and ``generation`` are those of the project, for the rights.
    """

    status: int
    headers: Lines
    body: bytes
    before: bytes
    after: bytes
    reason: bytes | None = None
    etag: bytes | None = None
    unchanged: Answer | None = None
    project: NormalizedName | None = None
    generation: str | None = None
    grants: Grants = field(default_factory=dict)
    until: float = inf
    download: tuple[str, str] | None = None
    """The project and version that giving it is a download of (app.downloads)."""
    route: str = ""
    """The template of its door's route, for traces."""
    given: Count = field(default_factory=Count)
    """How often it was given, with all others of its door and status."""
    for_everyone: bool = False
    """Whether the anonymous were found to be allowed to have it."""
    allowed: dict[bytes, Identity] = field(default_factory=dict)
    """Who was found to be allowed to have it, by their credentials' digest."""

    def allow(self, who: bytes, identity: Identity) -> None:
        """Remember that they may have it; of very many all are asked about anew."""
        if len(self.allowed) >= ALLOWED:
            self.allowed.clear()
        self.allowed[who] = identity


def answer(
    status: int, headers: Lines, body: bytes, *, reason: bytes | None = None
) -> Answer | None:
    """An answer with its joined lines and its 304; None for one that is not the guard's."""
    if [name for name, _ in headers].count(REQUEST_ID) != 1:
        return None
    made = _joined(status, headers, body)
    made.reason = reason
    tag = next((value for name, value in headers if name == b"etag"), None)
    if status in (200, 304):
        made.etag = tag
    if status == 200 and tag is not None:
        rest = tuple(line for line in headers if line[0] not in _ONLY_WHOLE)
        made.unchanged = _joined(304, rest, b"")
    return made


def _joined(status: int, headers: Lines, body: bytes) -> Answer:
    place = next(place for place, (name, _) in enumerate(headers) if name == REQUEST_ID)
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    return Answer(
        status,
        headers,
        body,
        before=b"".join(lines[:place]) + REQUEST_ID + b": ",
        after=b"\r\n" + b"".join(lines[place + 1 :]) + b"\r\n",
    )
