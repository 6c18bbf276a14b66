"""Spans of the calls to a backend."""

from __future__ import annotations

from typing import TypeVar

from app.metrics.metered import outcome
from app.traces import Traces
from app.watched import Ended, watched

T = TypeVar("T")


def traced(
    backend: T, room: str, traces: Traces | None, calls: frozenset[str], streams: frozenset[str]
) -> T:
    """The backend itself, to whoever uses it; without ``traces`` really itself."""
    if traces is None:
        return backend

    def begun(name: str) -> Ended | None:
        span = traces.call(room, name)
        if span is None:
            return None

        def ended(error: BaseException | None) -> None:
            if error is None:
                span.end("ok")
            else:
                span.end(outcome(error), type(error).__name__)

        return ended

    return watched(backend, begun, calls, streams)
