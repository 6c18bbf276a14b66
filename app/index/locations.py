"""Presigned URLs, kept while they are fresh, so that a redirect costs one look-up."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app import unbroken
from app.storage import window
from app.storage.base import Storage

LIMIT = 32 * 2**20
"""Bytes that all kept URLs may take together."""
OVERHEAD = 350
"""Bytes that an entry takes beside the characters of its key and its URL."""
KEPT = timedelta(minutes=5)
"""No URL is kept for longer, for the credentials that signed it may be taken back."""
LONGEST = timedelta(days=7)
"""No store presigns for longer. A window of more than that would begin before its URLs end."""


class _Signed(NamedTuple):
    url: str
    since: float
    until: float


class Locations:
    """Where clients may fetch keys of ``storage``; ``clock`` gives seconds since 1970.

    The storage signs at the beginning of the half life, so all replicas hand out the same URL
    for as long as this one keeps it, and a URL that is kept works for half of its life at least.
    One that ends earlier than asked for, with the credentials that signed it, is kept for half
    of what it has left.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        expires_in: timedelta,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._expires_in = min(expires_in, LONGEST)
        self._limit = limit
        self._clock = clock
        self._kept: OrderedDict[str, _Signed] = OrderedDict()
        self._size = 0
        self._signing: dict[str, asyncio.Task[str | None]] = {}
        self.away = False
        """Whether the storage had a URL: clients fetch files there, not here."""

    async def of(self, key: str, filename: str) -> str | None:
        """A URL that GETs the key, or None where the storage has none.

        Raises what the storage raises; many who ask at once for one key ask it once.
        """
        kept = self._kept.get(key)
        # A clock that was set back makes an entry one of the future: not fresh either.
        if kept is not None and kept.since <= self._clock() < kept.until:
            self._kept.move_to_end(key)
            return kept.url
        signing = self._signing.get(key)
        if signing is None:
            signing = self._signing[key] = unbroken.begun(self._sign(key, filename))
            signing.add_done_callback(lambda _: self._signing.pop(key))
        return await asyncio.shield(signing)

    def until(self, key: str) -> float:
        """Until when (time.monotonic) the URL that was given may be given again; 0: not."""
        kept = self._kept.get(key)
        return 0.0 if kept is None else time.monotonic() + kept.until - self._clock()

    async def _sign(self, key: str, filename: str) -> str | None:
        # Before the storage looks at its clock: should a window end meanwhile, the URL is
        # kept for too short a time, never for too long.
        now = datetime.fromtimestamp(self._clock(), UTC)
        url = await self._storage.url(key, filename=filename, expires_in=self._expires_in)
        self._forget(key)
        self.away = url is not None
        if url is not None:
            until = min(window.closes(now, self._expires_in), now + KEPT)
            if (ends := window.ends(url)) is not None:
                until = min(until, now + (ends - now) / 2)
            self._keep(key, _Signed(url, now.timestamp(), until.timestamp()))
        return url

    def _keep(self, key: str, signed: _Signed) -> None:
        self._kept[key] = signed
        self._size += _size(key, signed)
        while self._size > self._limit:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: str) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._size -= _size(key, gone)


def _size(key: str, signed: _Signed) -> int:
    return len(key) + len(signed.url) + OVERHEAD
