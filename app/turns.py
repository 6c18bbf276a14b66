"""So many at a time, and how many that are: what a pool is to those who measure it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol


class Pool(Protocol):
    """What is looked at: how many there are, how many are taken, how many wait for one."""

    @property
    def size(self) -> int: ...

    @property
    def busy(self) -> int: ...

    @property
    def waiting(self) -> int: ...


class Turns:
    """A semaphore that knows who has a turn, and who waits for one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.busy = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(size)

    async def __aenter__(self) -> None:
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.busy += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.busy -= 1
        self._free.release()
