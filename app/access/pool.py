"""A few threads that compute hashes, and a short queue before them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app import errors

QUEUE = 32

_T = TypeVar("_T")


class HashPool:
    """Runs hashing off the event loop, bounded in threads and in what waits.

    One pool belongs to one event loop. ``threads`` None: one for each core.
    """

    def __init__(self, *, threads: int | None = None, queue: int = QUEUE) -> None:
        threads = threads or _cores()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="hash")
        self.size = threads
        self._limit = threads + queue
        self._under_way = 0
        self.computed = 0
        """How many computations were begun so far."""

    @property
    def busy(self) -> int:
        """How many threads compute."""
        return min(self._under_way, self.size)

    @property
    def waiting(self) -> int:
        """How many computations wait for a thread."""
        return self._under_way - self.busy

    def submit(self, function: Callable[..., _T], *arguments: object) -> asyncio.Future[_T]:
        """Begin a computation; errors.Busy where the queue is full.

        Await the future through ``asyncio.shield``: it may have several readers, and a
        computation that nobody waits for any more still takes its thread.
        """
        if self._under_way >= self._limit:
            raise errors.Busy("Too many passwords are being checked; try again in a moment.")
        future = asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: function(*arguments)
        )
        self._under_way += 1
        self.computed += 1
        future.add_done_callback(self._finished)
        return future

    async def close(self) -> None:
        """Drop what waits and end the threads."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    def _finished(self, future: asyncio.Future[_T]) -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # retrieved, should every reader be gone


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
