"""Which passwords were right a moment ago, so that a client's every request costs no hash."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable

TTL = 60.0
"""Seconds."""
SIZE = 10_000


class Verified:
    """Remembers right passwords by a keyed digest, for a minute; wrong ones never.

    The key is random and lives as long as the process, so nothing remembered tells a
    password. ``ttl`` is in seconds and counts from the verification, not from the last use.
    """

    def __init__(
        self, *, ttl: float = TTL, size: int = SIZE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl, self._size, self._clock = ttl, size, clock
        self._secret = secrets.token_bytes(32)
        self._until: dict[bytes, float] = {}

    def key(self, stamp: str, hash: str, password: bytes) -> bytes:
        """What stands for one password of one user at one time of their life.

        A change of the stamp or of the hash makes everything remembered before unreachable.
        No part holds NUL.
        """
        message = b"\0".join((stamp.encode(errors="surrogatepass"), hash.encode(), password))
        return hmac.digest(self._secret, message, "sha256")

    def __contains__(self, key: bytes) -> bool:
        until = self._until.get(key)
        if until is None:
            return False
        if until <= self._clock():
            del self._until[key]
            return False
        return True

    def __len__(self) -> int:
        return len(self._until)

    def add(self, key: bytes) -> None:
        """Remember it; the oldest is forgotten where there are too many."""
        self._until.pop(key, None)
        if len(self._until) >= self._size:
            # All live equally long: the first to come in is the first to end.
            del self._until[next(iter(self._until))]
        self._until[key] = self._clock() + self._ttl
