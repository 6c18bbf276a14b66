"""Work on one thing after the other, some of it at the same time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def abreast(
    work: AsyncIterable[Coroutine[Any, Any, T]] | Iterable[Coroutine[Any, Any, T]], at_once: int
) -> AsyncGenerator[T, None]:
    """What each answers, in their order; so many run at once, and the rest is not begun yet.

    Raises what one of them raises, when it is its turn. Whoever breaks it off must close it:
    what runs is cancelled then, and has ended.
    """
    running: deque[asyncio.Task[T]] = deque()
    try:
        async for one in _each(work):
            running.append(asyncio.create_task(one))
            if len(running) >= at_once:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _each(work: AsyncIterable[T] | Iterable[T]) -> AsyncGenerator[T, None]:
    if isinstance(work, AsyncIterable):
        async for one in work:
            yield one
    else:
        for one in work:
            yield one
