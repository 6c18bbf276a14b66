"""Builds of a cache: what one task does from ``built`` or ``clear`` to ``set_built``.

Whoever empties the cache meanwhile takes away what was brought already; then the build may
not call it complete.
"""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from app import errors

T = TypeVar("T")


class Builds(Generic[T]):
    """A mark for each build that is under way in this process: what the cache was then."""

    def __init__(self) -> None:
        self._marks: WeakKeyDictionary[asyncio.Task[Any], T] = WeakKeyDictionary()

    def begin(self, mark: T) -> None:
        """The present task may be about to build."""
        if task := _task():
            self._marks[task] = mark

    def mark(self) -> T | None:
        """That of the present task; None where it never began."""
        task = _task()
        return self._marks.get(task) if task else None


def _task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # somebody drives the cache without an event loop
        return None


def emptied() -> errors.CacheUnavailable:
    """Why a build cannot end."""
    return errors.CacheUnavailable("The cache was emptied while it was being built.")
