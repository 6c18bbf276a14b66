"""Asking one upstream: its own origin and the hosts that its settings name, nobody else.

Credentials go to the origin alone. An upstream that fails a few times in a row is left alone
for a while.
"""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urldefrag, urljoin

from app import errors
from app.outbound import Outbound, Target, target
from app.traces import Traces
from app.upstream import wire
from app.upstream.breaker import Breaker
from app.upstream.connections import Connections
from app.upstream.options import UpstreamOptions
from app.upstream.rules import FileRules
from app.upstream.wire import Reply

COUNTS = (
    "asked", "answered", "failed", "microseconds", "bytes", "hit", "miss", "stale", "dropped",
    "fetched", "wrong", "changed", "refused",
)  # fmt: skip
"""What is counted of an upstream, in whole numbers that only grow."""
REDIRECTS = 3
_MOVED = (301, 302, 303, 307, 308)
_UNWELL = (429, 500, 502, 503, 504)


class Astray(errors.Unreachable):
    """It leads to where nobody goes: that says nothing of how it is."""


class Client:
    """One upstream. ``offline``: nobody is asked at all. ``counts``: what happened."""

    def __init__(
        self,
        options: UpstreamOptions,
        outbound: Outbound,
        *,
        offline: bool = False,
        traces: Traces | None = None,
    ) -> None:
        self.options = options
        self.base = options.url.rstrip("/")
        self.counts: Counter[str] = Counter()
        self.timed: Callable[[float], None] = lambda seconds: None
        """Told of each answer how long it took to begin."""
        self.breaker = Breaker()
        self.rules = FileRules.of(options.rules)
        self.offline = offline
        self._connections = Connections(outbound)
        self._traces = traces
        self._origin = target(options.url, plain=options.plain).origin

    def close(self) -> None:
        """Keep no connection any more."""
        self._connections.close()

    @property
    def name(self) -> str:
        """What it is called."""
        return self.options.name

    @property
    def direct(self) -> bool:
        """Whether clients are sent there for the bytes."""
        return self.options.policy == "redirect"

    def permits(self, url: str) -> bool:
        """Whether this URL may be asked, by where it is."""
        try:
            to = target(url, plain=self.options.plain)
        except ValueError:
            return False
        return self._permits(to)

    def _permits(self, to: Target) -> bool:
        if to.origin == self._origin:
            return True
        return any(_is_at(to, host) for host in self.options.hosts)

    @asynccontextmanager
    async def get(self, url: str, **headers: str) -> AsyncIterator[Reply]:
        """Ask for a URL, over a few redirects; the answer, whatever its status.

        Raises errors.Unreachable, and for an upstream that is not well too.
        """
        if self.offline:
            raise errors.Unreachable(f"Upstream {self.name!r} is not asked: the index is offline.")
        if self.breaker.open:
            raise errors.Unreachable(f"Upstream {self.name!r} does not answer; try again later.")
        self.counts["asked"] += 1
        reply: Reply | None = None
        span = self._traces.call("upstream", self.name) if self._traces else None
        began = time.monotonic()
        try:
            async with self._followed(url, headers) as came:
                self.counts["answered"] += 1
                took = time.monotonic() - began
                self.counts["microseconds"] += round(took * 1e6)
                self.timed(took)
                if came.status in _UNWELL:
                    raise errors.Unreachable(f"it answers {came.status}")
                reply = came
                if span is not None:  # the rest is its reader's pace
                    span.end("ok")
                    span = None
                yield came
                self.breaker.succeeded()
        except errors.Unreachable as failed:
            self.counts["failed"] += 1
            # What it says of one project or file is no sign that it is not well.
            if not isinstance(failed, Astray) and (reply is None or reply.broken):
                self.breaker.failed()
            if span is not None:
                span.end("error", type(failed).__name__)
                span = None
            raise errors.Unreachable(f"Upstream {self.name!r}: {failed}") from failed
        finally:
            if span is not None:
                span.end("cancelled")

    @asynccontextmanager
    async def _followed(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Reply]:
        for _ in range(REDIRECTS + 1):
            try:
                to = target(url, plain=self.options.plain)
            except ValueError as wrong:
                raise Astray(f"it leads to what may not be asked: {wrong}") from None
            if not self._permits(to):
                raise Astray(f"it leads to {to.authority}, which is none of its hosts")
            async with wire.asked(
                self._connections,
                to,
                {**headers, **self._credentials(to)},
                timeout=self.options.timeout.total_seconds(),
                idle=self.options.idle.total_seconds(),
            ) as reply:
                if reply.status not in _MOVED:
                    reply.url = url
                    yield reply
                    return
                url = urldefrag(urljoin(url, reply.headers.get("location", ""))).url
        raise Astray(f"it redirects more than {REDIRECTS} times")

    def _credentials(self, to: Target) -> dict[str, str]:
        if to.origin != self._origin:
            return {}
        options = self.options
        if options.token is not None:
            return {"Authorization": f"Bearer {options.token.get_secret_value()}"}
        if options.username is not None and options.password is not None:
            pair = f"{options.username}:{options.password.get_secret_value()}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {}


def _is_at(to: Target, host: str) -> bool:
    if host == "*":
        return to.public
    if host.startswith("*."):
        return to.authority.endswith(host[1:])
    return to.authority == host
