"""Counting the calls to a backend, around it: it does not know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any, TypeVar, cast

from app import errors
from app.metrics import Meters

T = TypeVar("T")

STORAGE = frozenset({"create", "put", "head", "url", "delete", "delete_many"})
STREAMS = frozenset({"get", "scan"})
CACHE = frozenset(
    {
        *("project", "outline", "file", "projects", "search", "save", "save_project", "restore"),
        *("forget", "record", "serial", "shown_serial", "changes", "prune", "clear", "built"),
    }
)
ACCESS = frozenset({"identify", "known", "grants", "all_grants", "edition"})


def metered(
    backend: T, room: str, meters: Meters, calls: frozenset[str], streams: frozenset[str] = STREAMS
) -> T:
    """The backend itself, to whoever uses it; ``calls`` of it are counted and timed.

    Of ``streams`` (asynchronous iterators) each is one call; its time ends with its first
    chunk, for the rest is its reader's pace.
    """
    return cast("T", _Metered(backend, room, meters, calls, streams))


class _Metered:
    def __init__(
        self,
        backend: Any,
        room: str,
        meters: Meters,
        calls: frozenset[str],
        streams: frozenset[str],
    ) -> None:
        self._backend, self._room, self._meters = backend, room, meters
        self._calls, self._streams = calls, streams
        self._running = 0
        meters.watch("calls_running", lambda: self._running, room)

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
            begun = perf_counter()
            self._running += 1
            try:
                answer = await call(*arguments, **named)
            except BaseException as error:
                self._note(name, begun, error)
                raise
            finally:
                self._running -= 1
            self._note(name, begun, None)
            return answer

        return called

    def _streamed(
        self, name: str, call: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def streamed(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            begun = perf_counter()
            noted = False
            chunks = call(*arguments, **named)
            try:
                async for one in chunks:
                    if not noted:
                        noted = True
                        self._note(name, begun, None)
                    yield one
            except Exception as error:
                self._note(name, begun, error)
                raise
            finally:
                if isinstance(chunks, AsyncGenerator):  # what it opened is closed at once
                    await chunks.aclose()
            if not noted:
                self._note(name, begun, None)

        return streamed

    def _note(self, name: str, begun: float, error: BaseException | None) -> None:
        self._meters.timing("call_seconds", self._room, name).observe(perf_counter() - begun)
        self._meters.count("calls", self._room, name, outcome(error)).value += 1


def outcome(error: BaseException | None) -> str:
    """``ok``; ``refused``: an answer too, if not the one that was hoped for; ``error``."""
    if error is None:
        return "ok"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    refused = errors.NotFound | errors.Refused | errors.Invalid
    return "refused" if isinstance(error, refused) else "error"
