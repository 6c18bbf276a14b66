"""From an identity token to the projects that it may upload to (steps 3 to 13)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from packaging.utils import NormalizedName

from app import errors
from app.access.ledger import Ledger, Publisher
from app.access.oidc import tokens
from app.access.oidc.issuers import Issuer, table
from app.access.oidc.keyring import Keyring
from app.access.oidc.providers import PROVIDERS
from app.access.oidc.tokens import Claims, refuse
from app.outbound import Outbound

Generation = Callable[[NormalizedName], Awaitable[str | None]]
"""The generation of a project as it stands, None for a name that is free."""

MARGIN = 60
"""Seconds that a used token is remembered beyond its end."""
_KEPT = 40
_KEPT_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a token is good for. ``publishers``: the most specific one of each project."""

    claims: Claims
    publishers: Mapping[NormalizedName, Publisher]

    @property
    def snapshot(self) -> dict[str, Any]:
        """The claims, as audit and provenance keep them: short ones, and not too many."""
        kept = {
            name: value
            for name, value in self.claims.items()
            if isinstance(value, bool | int)
            or (isinstance(value, str) and len(value) <= _KEPT_LENGTH)
        }
        return dict(sorted(kept.items())[:_KEPT])


class Minting:
    """Admits tokens of the issuers of a table that are made for this index."""

    def __init__(
        self,
        issuers: Mapping[str, Issuer],
        keyring: Keyring,
        ledger: Ledger,
        *,
        audience: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuers = issuers
        self.audience = audience
        self._keyring = keyring
        self._ledger = ledger
        self._clock = clock

    async def admit(self, text: str, generation: Generation) -> Admitted:
        """The projects that the token may upload to; the token is used up by that.

        Raises errors.MintRefused, and errors.Unavailable where nobody can tell.
        """
        unverified = tokens.parse(text)
        issuer = self.issuers.get(unverified.issuer)
        if issuer is None:
            refuse("The token's issuer is not one that this index knows.")
        key = await self._keyring.key(issuer, unverified.kid)
        if key is None:
            refuse("The token is signed with a key that its issuer does not have.")
        claims = tokens.verify(unverified, key, issuer.algorithm)
        listed = issuer.provider is None or PROVIDERS[issuer.provider].listed
        tokens.check_audience(claims, (self.audience,), listed=listed)
        until = tokens.check_times(claims, self._clock())
        publishers = await self._publishers(issuer, claims, generation)
        await self._use(unverified, claims, until)
        return Admitted(claims, publishers)

    async def _publishers(
        self, issuer: Issuer, claims: Claims, generation: Generation
    ) -> Mapping[NormalizedName, Publisher]:
        """Steps 8 to 12; the most specific publisher of each project first."""
        meeting = [
            publisher
            for publisher in await self._ledger.publishers.at(issuer.url)
            if _meets(publisher, issuer, claims)
        ]
        meeting.sort(key=lambda publisher: (-len(publisher.conditions), publisher.id))
        found: dict[NormalizedName, Publisher] = {}
        for publisher in meeting:
            if publisher.project in found:
                continue
            if publisher.generation != await generation(publisher.project):
                continue
            if (pinned := await self._pinned(publisher, claims)) is not None:
                found[publisher.project] = pinned
        if found:
            return found
        pending = any(publisher.generation is None for publisher in meeting)
        raise errors.MintRefused(
            "invalid-pending-publisher" if pending else "invalid-publisher",
            "No publisher that is registered here fits this token's claims.",
            reason="the project exists already" if pending else "no publisher fits",
        )

    async def _pinned(self, publisher: Publisher, claims: Claims) -> Publisher | None:
        """Step 10: with the immutable ids of its first use, None where they are others."""
        ids = PROVIDERS[publisher.provider].ids(claims)
        if not publisher.pinned and ids:
            await self._ledger.publishers.pin(publisher.id, ids)
            again = await self._ledger.publishers.find(publisher.id)
            if again is None:
                return None
            publisher = replace(publisher, pinned=again.pinned)
        return publisher if all(ids.get(k) == v for k, v in publisher.pinned.items()) else None

    async def _use(self, unverified: tokens.Unverified, claims: Claims, until: int) -> None:
        """Step 13: a token is used once, also where its issuer does not number its tokens."""
        number = claims.get("jti") or hashlib.sha256(unverified.payload).hexdigest()
        if not isinstance(number, str):
            refuse("The token's 'jti' is not a text.")
        once = hashlib.sha256(f"{unverified.issuer}\n{number}".encode()).hexdigest()
        end = datetime.fromtimestamp(until + MARGIN, UTC)
        if not await self._ledger.once.use("oidc", once, end):
            raise errors.MintRefused(
                "invalid-reuse-token", "The token has been used before; it is good for one use."
            )


def minting(
    issuers: Iterable[Issuer], audience: str | None, outbound: Outbound, ledger: Ledger
) -> Minting | None:
    """Trusted publishing, where there are issuers and an audience that is this index alone."""
    known = table(issuers)
    if not known or audience is None:
        return None
    return Minting(known, Keyring(outbound), ledger, audience=audience)


def _meets(publisher: Publisher, issuer: Issuer, claims: Claims) -> bool:
    provider = PROVIDERS.get(publisher.provider)
    if provider is None or issuer.provider not in (None, provider.name):
        return False
    if isinstance(claims["aud"], list) and not provider.listed:
        return False
    return provider.complete(claims) and provider.meets(
        publisher.conditions, claims, publisher.issuer
    )
