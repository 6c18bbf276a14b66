"""Work that goes on to its end though whoever waits for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def begun(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task whose failure is raised to whoever waits; where nobody does, it concerns nobody."""
    task = asyncio.create_task(work)
    task.add_done_callback(_heard)
    return task


class Unbroken:
    """Runs work to its end, even where the caller is cancelled."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        """What it answers, or raises."""
        task = begun(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def settled(self) -> None:
        """Wait for what goes on although nobody waits for it any more."""
        await asyncio.gather(*self._running, return_exceptions=True)


def _heard(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
