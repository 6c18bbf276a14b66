"""Keys of issuers, fetched when they are needed and remembered for a while."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app import errors, unbroken
from app.access.oidc import keys
from app.access.oidc.issuers import Issuer
from app.access.oidc.keys import Key
from app.outbound import Outbound, target

log = logging.getLogger(__name__)

PAUSE = 60.0
"""Seconds between two attempts to fetch the keys of one issuer."""
FRESH = 3600.0
"""Seconds after which they are fetched again, though the one asked for is there."""
GOOD = 24 * 3600.0
"""Seconds that the last good ones are used while there are no newer ones."""
DISCOVERY = "/.well-known/openid-configuration"


@dataclass(slots=True)
class _Kept:
    keys: Mapping[str, Key] = field(default_factory=dict)
    fetched: float | None = None
    tried: float | None = None
    task: asyncio.Task[None] | None = None

    def good(self, now: float) -> bool:
        return self.fetched is not None and now - self.fetched < GOOD


class Keyring:
    """The keys of every issuer of the table; of one issuer at most one refresh at a time."""

    def __init__(self, outbound: Outbound, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def key(self, issuer: Issuer, kid: str) -> Key | None:
        """The key of this id, None where the issuer has none.

        Raises errors.Unreachable where nobody knows, for the issuer cannot be asked.
        """
        kept = self._kept.setdefault(issuer.url, _Kept())
        now = self._clock()
        stale = kept.fetched is None or now - kept.fetched >= FRESH
        if (stale or kid not in kept.keys) and self._may_try(kept, now):
            kept.tried = now
            kept.task = unbroken.begun(self._refresh(issuer, kept))
        if kept.task is not None and (stale or kid not in kept.keys):
            await asyncio.shield(kept.task)
        if not kept.good(self._clock()):
            raise errors.Unreachable("The keys of the token's issuer cannot be fetched.")
        return kept.keys.get(kid)

    def _may_try(self, kept: _Kept, now: float) -> bool:
        running = kept.task is not None and not kept.task.done()
        return not running and (kept.tried is None or now - kept.tried >= PAUSE)

    async def _refresh(self, issuer: Issuer, kept: _Kept) -> None:
        try:
            found = keys.parse(await self._fetched(await self._location(issuer)))
        except (errors.Unreachable, ValueError) as failed:
            log.warning("the keys of issuer %s cannot be fetched: %s", issuer.url, failed)
            return
        kept.keys, kept.fetched = found, self._clock()

    async def _location(self, issuer: Issuer) -> str:
        """Where the keys are: as configured, else at the issuer's own origin."""
        if issuer.jwks_uri is not None:
            return issuer.jwks_uri
        document = await self.discovery(issuer.url)
        location = document.get("jwks_uri")
        if not isinstance(location, str) or target(location).origin != target(issuer.url).origin:
            raise ValueError("its jwks_uri is at another origin, and is not configured")
        return location

    async def discovery(self, url: str) -> Mapping[str, object]:
        """What an issuer says of itself; ValueError where that is not about this issuer."""
        try:
            document = json.loads(await self._fetched(f"{url.rstrip('/')}{DISCOVERY}"))
        except RecursionError as wrong:
            raise ValueError("its configuration cannot be read") from wrong
        if not isinstance(document, dict) or document.get("issuer") != url:
            raise ValueError("its configuration is that of another issuer")
        return document

    async def _fetched(self, url: str) -> bytes:
        answer = await self._outbound.get(url)
        if answer.status != 200:
            raise ValueError(f"it answers {answer.status}")
        return answer.body
