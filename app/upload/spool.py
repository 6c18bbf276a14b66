"""The file of an upload, on its way into a temporary file; every byte is read and hashed once.

All of it blocks, so all of it runs in threads.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from app import errors
from app.models import Hashes

_WORTH_A_HOP = 64 * 2**10
"""Bytes."""
_DIGESTS = ThreadPoolExecutor(max(2, os.cpu_count() or 2), "digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """The bytes of an upload in a temporary file, which belongs to whoever opened the form."""

    filename: str
    path: Path
    size: int
    hashes: Hashes


class Spool:
    """One temporary file, written once. ``limit`` is in bytes.

    Raises errors.StorageUnavailable when the directory takes no more.
    """

    def __init__(self, directory: Path, *, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._blake2 = hashlib.blake2b(digest_size=32)
        # Upload clients send it, and the JSON API shows it; nothing relies on it.
        self._md5 = hashlib.md5(usedforsecurity=False)
        try:
            self._descriptor, name = tempfile.mkstemp(prefix="upload-", dir=directory)
        except OSError as error:
            raise _unwritable() from error
        self._path = Path(name)
        self._open = True

    def write(self, chunk: bytes) -> None:
        """Add a chunk. Raises errors.TooLarge before a byte beyond the limit is written."""
        self._size += len(chunk)
        check_size(self._size, self._limit)
        beside = self._hashing(chunk)
        try:
            written = 0
            with memoryview(chunk) as view:
                while written < len(chunk):
                    written += os.write(self._descriptor, view[written:])
        except OSError as error:
            raise _unwritable() from error
        finally:
            self._sha256.update(chunk)
            wait(beside)

    def _hashing(self, chunk: bytes) -> list[Future[None]]:
        """The slower digests, beside one another where that is worth a hop."""
        slower = (self._md5, self._blake2)
        if len(chunk) >= _WORTH_A_HOP:
            return [_DIGESTS.submit(digest.update, chunk) for digest in slower]
        for digest in slower:
            digest.update(chunk)
        return []

    def finish(self, filename: str) -> Spooled:
        """Close the file; its bytes stay until ``discard``."""
        self._close()
        return Spooled(
            filename=filename,
            path=self._path,
            size=self._size,
            hashes=Hashes(
                sha256=self._sha256.hexdigest(),
                blake2b_256=self._blake2.hexdigest(),
                md5=self._md5.hexdigest(),
            ),
        )

    def discard(self) -> None:
        """Remove the file. May be called again."""
        self._close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)


def check_size(size: int, limit: int) -> None:
    """Raises errors.TooLarge for a file of more bytes than the limit."""
    if size > limit:
        raise errors.TooLarge(f"File too large. The limit is {_readable(limit)}.")


def _readable(size: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size:,} bytes"


def _unwritable() -> errors.StorageUnavailable:
    return errors.StorageUnavailable("There is no room for the upload; try again later.")
