"""SAS tokens: what makes a URL of a blob readable for whoever has it, for a while.

They have no beginning, so that clocks that differ by seconds do no harm, and end at a moment
that all processes agree upon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from azure.storage.blob import UserDelegationKey, generate_blob_sas

from app.storage.azure.account import Account
from app.storage.azure.failures import Failed

PERIOD = timedelta(hours=12)
"""How long URLs are signed with one delegation key; it lives for another period, and MARGIN."""
MARGIN = timedelta(minutes=15)
"""How much earlier it begins, for clocks that differ."""
AGAIN = timedelta(minutes=1)
"""How long after a failure the next key is asked for."""


Fetch = Callable[[datetime, datetime], Awaitable[UserDelegationKey]]
"""Asks Azure for a key that is good from the first moment to the second."""


class Signer(Protocol):
    """Gives SAS tokens."""

    async def sas(self, name: str, ends: datetime) -> str:
        """A query that lets the blob ``name`` be read until ``ends``, or until the signer ends."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class KeySigner:
    """Signs with the key of the account."""

    account: Account
    container: str

    async def sas(self, name: str, ends: datetime) -> str:
        return generate_blob_sas(
            self.account.name,
            self.container,
            name,
            account_key=self.account.key,
            permission="r",
            expiry=ends,
            protocol="https" if self.account.secure else None,
        )


class DelegationSigner:
    """Signs with a key that Azure gives to an identity, for some hours: user delegation."""

    def __init__(self, account: Account, container: str, fetch: Fetch) -> None:
        self._account = account
        self._container = container
        self._fetch = fetch
        self._key: UserDelegationKey | None = None
        self._ends = self._renewed = datetime.min.replace(tzinfo=UTC)
        self._asking = asyncio.Lock()

    async def sas(self, name: str, ends: datetime) -> str:
        key = await self.key(datetime.now(UTC))
        return generate_blob_sas(
            self._account.name,
            self._container,
            name,
            user_delegation_key=key,
            permission="r",
            expiry=min(ends, self._ends),
            protocol="https",
        )

    async def key(self, now: datetime) -> UserDelegationKey:
        """The key of now: fetched half a life before the last one ends, in every process alike."""
        if self._key is not None and now < self._renewed:
            return self._key
        async with self._asking:
            if self._key is None or now >= self._renewed:
                try:
                    await self._renew(now)
                except Failed:
                    if self._key is None or now >= self._ends - PERIOD / 2:
                        raise
                    self._renewed = now + AGAIN
            assert self._key is not None  # noqa: S101  # renewed
            return self._key

    async def _renew(self, now: datetime) -> None:
        begins = datetime.fromtimestamp(
            now.timestamp() // PERIOD.total_seconds() * PERIOD.total_seconds(), UTC
        )
        ends = begins + 2 * PERIOD + MARGIN
        self._key = await self._fetch(begins - MARGIN, ends)
        self._ends, self._renewed = ends, begins + PERIOD
