"""Requests that must not be torn off: half of them would leave a store in an unknown state."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def settled(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of ``work``, whether or not the caller is cancelled meanwhile.

    A cancellation that came meanwhile is raised only where the work failed.
    """
    return (await undisturbed(work))[0]


async def undisturbed(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """The same, with the cancellation that came meanwhile: for work that is not the last."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and (task.cancelled() or task.exception() is not None):
        raise cancelled
    return task.result(), cancelled
