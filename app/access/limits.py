"""Limits: attempts counted over sliding windows, in the ledger, where all replicas see them.

While the ledger does not answer each process counts for itself and allows its share, never
more: an outage opens nothing. What succeeds is never taken back from a count.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from app import errors
from app.access.ledger import Attempts
from app.access.options import LimitOptions

SHUT = 1.0
"""Seconds for which a key that was over its limit is not asked about again."""
KEYS = 10_000
"""Keys that a process remembers."""
_FIVE_MINUTES = timedelta(minutes=5)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many attempts within the window; 0: any number."""

    name: str
    most: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Mark:
    """What is counted: an attempt of somebody, under a limit."""

    limit: Limit
    who: str

    @property
    def key(self) -> str:
        """The key in the ledger."""
        return f"{self.limit.name} {self.who}"


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ip_address(address)
    except ValueError:
        return address or "unknown"
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return str(ip_network((found.packed[:8] + bytes(8), 64)))
        found = found.ipv4_mapped
    return str(found)


class Limits:
    """The limits of one process. Addresses are those behind trusted proxies."""

    def __init__(
        self,
        attempts: Attempts,
        options: LimitOptions | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._attempts, self._now = attempts, now
        self._here = _Here()
        self._shut: dict[str, float] = {}
        self.set(options or LimitOptions())

    def set(self, chosen: LimitOptions) -> None:
        """Go by these from now on; what was counted counts."""
        self._replicas = chosen.replicas
        self._shut.clear()
        self._login = Limit("login", chosen.logins, _FIVE_MINUTES)
        self._login_user = Limit("login-user", chosen.logins, _FIVE_MINUTES)
        self._logins = Limit("logins", chosen.all_logins, _FIVE_MINUTES)
        self._token = Limit("token", chosen.tokens, _MINUTE)
        self._sso = Limit("sso", chosen.logins, _FIVE_MINUTES)
        self._mint = Limit("mint", chosen.mints, _MINUTE)
        self._search = Limit("search", chosen.searches, _MINUTE)
        self._registration = Limit("registration", chosen.registrations, _HOUR)
        self._upload = Limit("upload", chosen.uploads, _HOUR)
        self._project = Limit("project", chosen.projects, _HOUR)

    def login(self, address: str, username: str) -> tuple[Mark, ...]:
        """A login by password: of the address, of the user from there, of everybody."""
        client = network_of(address)
        user = Mark(self._login_user, f"{client} {username.lower()[:64]}")
        return Mark(self._login, client), user, Mark(self._logins, "")

    def token(self, address: str) -> Mark:
        """A token that there is not, or a leak reported."""
        return Mark(self._token, network_of(address))

    def sso(self, address: str) -> Mark:
        """A login at the provider of single sign-on that did not become one here."""
        return Mark(self._sso, network_of(address))

    def mint(self, address: str) -> Mark:
        """A token to be minted (trusted publishing)."""
        return Mark(self._mint, network_of(address))

    def search(self, address: str) -> Mark:
        """A search."""
        return Mark(self._search, network_of(address))

    def registration(self, address: str) -> Mark:
        """Somebody who registers, or tries to."""
        return Mark(self._registration, network_of(address))

    def upload(self, who: str) -> Mark:
        """A file uploaded by somebody (``kind:id``)."""
        return Mark(self._upload, who)

    def project(self, who: str) -> Mark:
        """A name claimed by somebody."""
        return Mark(self._project, who)

    async def check(self, *marks: Mark) -> None:
        """Return if none is at its limit; errors.TooManyAttempts. Counts nothing."""
        limited = [mark for mark in marks if mark.limit.most]
        for mark in limited:
            if self._shut.get(mark.key, 0.0) > time.monotonic():
                raise errors.TooManyAttempts(mark.limit.window)
        counts = await asyncio.gather(*(self._count(mark) for mark in limited))
        for mark, (count, most) in zip(limited, counts, strict=True):
            if count >= most:
                self._shut_out(mark)
                raise errors.TooManyAttempts(mark.limit.window)

    async def count(self, *marks: Mark) -> None:
        """One more attempt for each."""
        await asyncio.gather(*(self._add(mark) for mark in marks if mark.limit.most))

    async def spend(self, mark: Mark) -> None:
        """One more, if that is within the limit; errors.TooManyAttempts where it is not."""
        if not mark.limit.most:
            return
        await self.check(mark)
        count, most = await self._add(mark)
        if count > most:
            self._shut_out(mark)
            raise errors.TooManyAttempts(mark.limit.window)

    async def _count(self, mark: Mark) -> tuple[int, int]:
        now, limit = self._now(), mark.limit
        try:
            return await self._attempts.count(mark.key, limit.window, now), limit.most
        except errors.Unavailable:
            return self._here.count(mark.key, limit.window, now), self._share(limit)

    async def _add(self, mark: Mark) -> tuple[int, int]:
        now, limit = self._now(), mark.limit
        here = self._here.add(mark.key, limit.window, now)
        try:
            return await self._attempts.add(mark.key, limit.window, now), limit.most
        except errors.Unavailable:
            return here, self._share(limit)

    def _share(self, limit: Limit) -> int:
        return max(1, limit.most // self._replicas)

    def _shut_out(self, mark: Mark) -> None:
        if len(self._shut) >= KEYS:
            self._shut.clear()
        self._shut[mark.key] = time.monotonic() + SHUT


class _Here:
    """The same counts, of this process alone."""

    def __init__(self) -> None:
        self._times: dict[str, deque[datetime]] = {}

    def count(self, key: str, window: timedelta, now: datetime) -> int:
        times = self._times.get(key, deque())
        return sum(time > now - window for time in times)

    def add(self, key: str, window: timedelta, now: datetime) -> int:
        times = self._times.pop(key, None) or deque(maxlen=4096)
        while len(self._times) >= KEYS:
            del self._times[next(iter(self._times))]
        self._times[key] = times  # at the end: whoever was counted last is forgotten last
        times.append(now)
        return self.count(key, window, now)
