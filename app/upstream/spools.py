"""Bytes on their way: one writes them into a temporary file, many read them at their own pace.

The newest of them are at hand in memory, so that whoever keeps up reads nothing from the disk.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from app import errors
from app.storage.whole import WholeFile
from app.unbroken import Unbroken
from app.upstream.kept import Digest

AT_HAND = 4 * 2**20
"""Bytes."""
BATCH = 2**20
"""Bytes that may wait for the disk; more hold the upstream back."""

T = TypeVar("T")


class Spool:
    """One file. What uses it runs to its end before it is closed; ``written`` bytes can be read."""

    def __init__(self, folder: Path, unbroken: Unbroken) -> None:
        self._folder, self._unbroken = folder, unbroken
        self._file: int | None = None
        self._ended: weakref.finalize[[int], Spool] | None = None
        self._uses = 0
        self._closed = False
        self._newest: deque[tuple[int, bytes]] = deque()
        self._at_hand = 0
        self.written = 0

    async def open(self) -> None:
        """Make the file. Raises errors.StorageUnavailable."""
        await self._unbroken(self._open())

    async def append(self, chunks: Sequence[bytes], hashing: Collection[Digest]) -> None:
        """Add bytes, and hash them. Raises errors.StorageUnavailable where there is no room."""
        at = self.written

        def write(file: int) -> None:
            place = at
            for chunk in chunks:
                left = memoryview(chunk)
                while left:
                    done = os.pwrite(file, left, place)
                    left, place = left[done:], place + done
                for one in hashing:
                    one.update(chunk)

        await self._used(write)
        for chunk in chunks:
            self._newest.append((self.written, chunk))
            self.written += len(chunk)
            self._at_hand += len(chunk)
        while self._at_hand > AT_HAND:
            self._at_hand -= len(self._newest.popleft()[1])

    async def read(self, at: int, length: int) -> bytes:
        """Some of the bytes from there on that were written, at least one and at most so many."""
        if self._newest and at >= self._newest[0][0]:
            start, chunk = next(one for one in reversed(self._newest) if one[0] <= at)
            return chunk[at - start : at - start + length]
        return await self._used(lambda file: os.pread(file, length, at))

    def whole(self) -> WholeFile:
        """All of it, to be kept, while somebody is known to read. Nothing more is written."""
        if self._file is None or self._closed:
            raise errors.Unreachable("The file is no longer at hand; ask again.")
        return WholeFile(self._file)

    async def close(self) -> None:
        """Nobody reads any more."""
        self._closed = True
        self._newest.clear()
        await self._unbroken(self._close())

    async def _open(self) -> None:
        try:
            self._file = await asyncio.to_thread(_made, self._folder)
        except OSError as wrong:
            raise errors.StorageUnavailable(f"There is no spool: {wrong.strerror}") from wrong
        # Where the service ends before whoever reads, the file goes with the spool.
        self._ended = weakref.finalize(self, os.close, self._file)
        await self._close()  # it may have been closed meanwhile

    async def _used(self, work: Callable[[int], T]) -> T:
        return await self._unbroken(self._use(work))

    async def _use(self, work: Callable[[int], T]) -> T:
        if self._file is None or self._closed:
            raise errors.Unreachable("The file is no longer at hand; ask again.")
        self._uses += 1
        try:
            return await asyncio.to_thread(work, self._file)
        except OSError as full:
            reason = f"The spool takes no more: {full.strerror}"
            raise errors.StorageUnavailable(reason) from full
        finally:
            self._uses -= 1
            await self._close()

    async def _close(self) -> None:
        """Close the file where nobody will use it and nobody does."""
        if self._closed and self._uses == 0 and self._ended is not None:
            ended, self._file, self._ended = self._ended, None, None
            await asyncio.to_thread(ended)


def _made(folder: Path) -> int:
    """A file without a name, by its descriptor; one that may get a name, where there are such."""
    with suppress(AttributeError, OSError):  # Linux alone, and not on every file system
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        return os.dup(file.fileno())


class Writing:
    """What came goes to the spool while more comes; each time all that has gathered."""

    def __init__(self, spool: Spool, hashing: Collection[Digest], told: Callable[[], None]) -> None:
        self._spool, self._hashing, self._told = spool, hashing, told
        self._waiting: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None

    async def add(self, chunk: bytes) -> None:
        """Take bytes; wait where many wait already."""
        self._waiting.append(chunk)
        self._size += len(chunk)
        if self._task is not None and (self._task.done() or self._size >= BATCH):
            task, self._task = self._task, None
            await task
        if self._task is None:
            waiting, self._waiting, self._size = self._waiting, [], 0
            self._task = asyncio.create_task(self._write(waiting))

    async def settle(self) -> None:
        """All that came is written."""
        task, self._task = self._task, None
        if task is not None:
            await task
        waiting, self._waiting = self._waiting, []
        if waiting:
            await self._write(waiting)

    async def _write(self, chunks: list[bytes]) -> None:
        await self._spool.append(chunks, self._hashing)
        self._told()
