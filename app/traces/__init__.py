"""What a request did and how long each part of it took, told to whoever collects traces.

Off, nothing of this is in the way: backends are not wrapped and requests not looked at. A span
has names of ours, routes as they are written in the code, and outcomes; no path, no query
string, no URL, no header and no message of an error ever stands in one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Protocol

from app import errors
from app.traces.options import TracesOptions


class Asked(Protocol):
    """A request that is being answered."""

    def answered(self, route: str, status: int, request: str) -> None:
        """Note the route's template (empty: none), the status (0: none) and the request's id."""


class Call(Protocol):
    """A question to a backend or an upstream, that has begun."""

    def end(self, outcome: str, kind: str = "") -> None:
        """It is over: ``ok``, ``refused``, ``cancelled``, ``error``; the class of the error."""


class Traces(Protocol):
    """Where spans go; nothing here waits for anybody, or raises."""

    def request(self, method: str, parent: Mapping[str, str]) -> AbstractContextManager[Asked]:
        """A span around a request; ``parent``: W3C's ``traceparent``, ``tracestate``, if any."""

    def at_hand(self, method: str, route: str, status: int, request: str, seconds: float) -> None:
        """A span of a request that was answered by what was at hand, and took so long."""

    def call(self, room: str, name: str) -> Call | None:
        """A span of a call that the present request makes; None outside of one."""


@asynccontextmanager
async def opened(options: TracesOptions) -> AsyncIterator[Traces | None]:
    """What the settings name; None where they name nobody. The last spans are sent at the end.

    Raises errors.Misconfigured where OpenTelemetry is not installed.
    """
    if options.endpoint is None:
        yield None
        return
    try:
        from app.traces import otlp
    except ModuleNotFoundError as missing:
        raise errors.Misconfigured(
            f"PYPICLOUD_TRACES__ENDPOINT needs {missing.name}: pip install 'pypicloud[traces]'"
        ) from missing
    made = await asyncio.to_thread(otlp.Otlp, options)  # it waits for threads of its own
    try:
        yield made
    finally:
        await made.stop()
