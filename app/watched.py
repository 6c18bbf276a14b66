"""Somebody who watches the calls to a backend, around it: it does not know."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")

Ended = Callable[[BaseException | None], None]
"""Told once how a call ended: with an answer (None), or by what."""
Begun = Callable[[str], Ended | None]
"""Told of a call by its name as it begins; None: its end is of no interest."""


def watched(backend: T, begun: Begun, calls: frozenset[str], streams: frozenset[str]) -> T:
    """The backend itself, to whoever uses it; ``begun`` is told of its ``calls``.

    Of ``streams`` (asynchronous iterators) each is one call; it ends with its first chunk, for
    the rest is its reader's pace. One that breaks off later counts as another call, that failed.
    """
    return cast("T", _Watched(backend, begun, calls, streams))


class _Watched:
    def __init__(
        self, backend: Any, begun: Begun, calls: frozenset[str], streams: frozenset[str]
    ) -> None:
        self._backend, self._begun = backend, begun
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
            ended = self._begun(name) or _nobody
            try:
                answer = await call(*arguments, **named)
            except BaseException as error:
                ended(error)
                raise
            ended(None)
            return answer

        return called

    def _streamed(
        self, name: str, call: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def streamed(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            ended: Ended | None = self._begun(name) or _nobody
            chunks = call(*arguments, **named)
            try:
                async for one in chunks:
                    if ended is not None:
                        ended(None)
                        ended = None
                    yield one
            except BaseException as error:
                if ended is None and isinstance(error, Exception):  # it broke off later
                    ended = self._begun(name)
                if ended is not None:
                    ended(error)
                    ended = None
                raise
            finally:
                if isinstance(chunks, AsyncGenerator):  # what it opened is closed at once
                    await chunks.aclose()
            if ended is not None:
                ended(None)

        return streamed


def _nobody(error: BaseException | None) -> None:
    pass
