"""Spans of the calls to a backend, around it: it does not know."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar, cast

from app.metrics.metered import outcome
from app.traces import Traces

T = TypeVar("T")


def traced(
    backend: T, room: str, traces: Traces | None, calls: frozenset[str], streams: frozenset[str]
) -> T:
    """The backend itself, to whoever uses it; without ``traces`` really itself.

    The span of a stream ends with its first chunk, as its time in the metrics does.
    """
    if traces is None:
        return backend
    return cast("T", _Traced(backend, room, traces, calls, streams))


class _Traced:
    def __init__(
        self,
        backend: Any,
        room: str,
        traces: Traces,
        calls: frozenset[str],
        streams: frozenset[str],
    ) -> None:
        self._backend, self._room, self._traces = backend, room, traces
        self._calls, self._streams = calls, streams

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name in self._calls:
            found = self._called(name, found)
        elif name in self._streams:
            found = self._streamed(name, found)
        else:
            return found  # it may change
        self.__dict__[name] = found
        return found

    def _called(
        self, name: str, call: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def called(*arguments: Any, **named: Any) -> Any:
            span = self._traces.call(self._room, name)
            if span is None:
                return await call(*arguments, **named)
            try:
                answer = await call(*arguments, **named)
            except BaseException as error:
                span.end(outcome(error), type(error).__name__)
                raise
            span.end("ok")
            return answer

        return called

    def _streamed(
        self, name: str, call: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def streamed(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            span = self._traces.call(self._room, name)
            chunks = call(*arguments, **named)
            try:
                async for one in chunks:
                    if span is not None:
                        span.end("ok")
                        span = None
                    yield one
            except BaseException as error:
                if span is not None:
                    span.end(outcome(error), type(error).__name__)
                    span = None
                raise
            finally:
                if isinstance(chunks, AsyncGenerator):  # what it opened is closed at once
                    await chunks.aclose()
            if span is not None:
                span.end("ok")

        return streamed
