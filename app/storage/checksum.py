"""The promise that a put makes about its bytes, kept while they stream by."""

from __future__ import annotations

import hashlib

from app import errors


class Checksum:
    """Counts and hashes what is written to ``key``; expects ``size`` bytes with ``sha256``."""

    def __init__(self, key: str, *, size: int, sha256: str) -> None:
        self._key = key
        self._size = size
        self._sha256 = sha256
        self._seen = 0
        self._hash = hashlib.sha256()
        self._believed = False

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes; errors.BlobDamaged as soon as they are too many."""
        self._seen += len(chunk)
        if self._seen > self._size:
            raise errors.BlobDamaged(f"{self._key}: more than the {self._size} bytes expected")
        self._hash.update(chunk)

    def believe(self, size: int) -> None:
        """All bytes are in a file of this size, and whoever wrote it hashed them."""
        self._seen, self._believed = size, True

    def verify(self) -> None:
        """errors.BlobDamaged unless all bytes came, and are the expected ones."""
        if self._seen != self._size:
            raise errors.BlobDamaged(f"{self._key}: {self._seen} of {self._size} bytes came")
        if not self._believed and self._hash.hexdigest() != self._sha256:
            raise errors.BlobDamaged(f"{self._key}: the bytes do not have the sha256 expected")
