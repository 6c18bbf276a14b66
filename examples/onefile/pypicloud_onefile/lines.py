"""A file of lines that several processes append to and follow, under a lock of the file."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.005
"""Seconds between two looks whether the lock is free."""


class Lines:
    """The file, opened once; every method blocks, so it belongs into a thread.

    Raises OSError, TimeoutError (which is one) where somebody holds the lock for too long.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        self._timeout = timeout
        self._read = 0

    def close(self) -> None:
        """Once nobody uses it."""
        os.close(self._file)

    @contextmanager
    def locked(self, *, alone: bool) -> Iterator[None]:
        """While the block runs nobody else writes; ``alone``: nor reads."""
        wanted = (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                fcntl.flock(self._file, wanted)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError("another process holds its lock") from None
                time.sleep(PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def news(self) -> Sequence[bytes]:
        """The lines that came since the last call.

        Half a line at the end is what a writer left that was killed: it is not there.
        """
        mine = os.fstat(self._file)
        if self._path.stat().st_ino != mine.st_ino or mine.st_size < self._read:
            raise FileNotFoundError("it was removed or shortened under a running process")
        text = b""
        while (left := mine.st_size - self._read - len(text)) > 0:
            text += os.pread(self._file, left, self._read + len(text))
        text = text[: text.rfind(b"\n") + 1]
        self._read += len(text)
        return text.split(b"\n")[:-1]

    def append(self, line: bytes) -> None:
        """Write one line behind what was read, over half a one; it is on the disk on return."""
        os.ftruncate(self._file, self._read)
        left, offset = line + b"\n", self._read
        while left:
            written = os.pwrite(self._file, left, offset)
            left, offset = left[written:], offset + written
        os.fsync(self._file)
        self._read = offset

    def rewind(self) -> None:
        """Give all lines as news again."""
        self._read = 0
