"""Bodies of requests: how long they may be, how slowly they may come, and how one is left."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from app.guard.framing import Refusal

FORM_ALLOWANCE = 32 * 2**20
"""Bytes for the fields beside the file: a description, attestations."""
XML = 64 * 1024
OTHER = 2**20
DRAIN_BYTES = 256 * 2**20
DRAIN_SECONDS = 30.0
UPLOADS = frozenset(
    {"/", "/legacy", "/legacy/", "/simple", "/simple/", "/pypi", "/pypi/", "/upload"}
)
FORMER_UPLOADS = "/api/package/"
"""What the URLs begin with to which PyPICloud 1 had a file uploaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """Sizes in bytes; ``upload`` is that of the file in a form.

    A client may be silent for ``idle`` seconds; over all that it lets us wait, beyond
    ``grace`` seconds of it, it must send ``rate`` bytes a second.
    """

    upload: int
    form: int = FORM_ALLOWANCE
    xml: int = XML
    other: int = OTHER
    idle: float = 30.0
    grace: float = 60.0
    rate: int = 1024

    def allow(self, scope: Scope) -> int:
        """The limit of this request. Raises Refusal where it announces more."""
        limit = self._limit(scope)
        length = _header(scope, b"content-length")
        if length and int(length) > limit:
            raise Refusal(413, f"The request is too large: the limit is {limit} bytes.")
        return limit

    def _limit(self, scope: Scope) -> int:
        kind = _header(scope, b"content-type").partition(b";")[0].strip().lower()
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] == "POST" and (path in UPLOADS or path.startswith(FORMER_UPLOADS)):
            if kind == b"multipart/form-data":
                return self.upload + self.form
            if kind in (b"text/xml", b"application/xml"):
                return self.xml
        return self.other


class Body:
    """Counts a body, and times it while it is waited for."""

    def __init__(self, scope: Scope, receive: Receive, limits: BodyLimits) -> None:
        self._receive = receive
        self._limits = limits
        self._expects = _header(scope, b"expect").lower() == b"100-continue"
        self._more = _header(scope, b"content-length") not in (b"", b"0") or bool(
            _header(scope, b"transfer-encoding")
        )
        self._begun = False
        self._stalled = False
        self._count = 0
        self._waited = 0.0
        self.limit = limits.other

    @property
    def unread(self) -> bool:
        """Whether bytes of it may still be on their way."""
        return self._more

    async def receive(self) -> Message:
        """The next part. Raises HTTPException: 413 beyond the limit, 408 for a slow client."""
        if not self._more and self._begun:
            return await self._receive()  # the client's disconnection: may take for ever
        self._begun = True
        message = await self._timed()
        if message["type"] != "http.request":
            self._more = False
            return message
        self._more = message.get("more_body", False)
        self._count += len(message.get("body", b""))
        if self._count > self.limit:
            raise HTTPException(413, f"The request is too large: the limit is {self.limit} bytes.")
        return message

    async def drain(self) -> None:
        """Read what is left, up to a bound, so that the client gets to read the answer."""
        if self._stalled or (self._expects and not self._begun):
            return  # nothing comes, or the client was never told to go on
        left = DRAIN_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._more and left > 0:
                    message = await self._receive()
                    self._more = message.get("more_body", False)
                    left -= len(message.get("body", b""))

    async def _timed(self) -> Message:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.idle):
                message = await self._receive()
        except TimeoutError:
            self._stalled = True
            raise HTTPException(408, "The body of the request stopped coming.") from None
        self._waited += time.monotonic() - began
        late = self._waited - self._limits.grace
        if late > 0 and self._count < self._limits.rate * late:
            self._stalled = True
            raise HTTPException(408, "The body of the request comes too slowly.")
        return message


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value.strip() for name, value in scope["headers"] if name == wanted), b"")
