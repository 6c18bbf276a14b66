"""Who asks, by name and password or by a token: the one way in for every door.

Limits come before a password is looked at; a token is looked up once. What went wrong is told
to ``Report`` with no secret in it, and to the client as far as it helps nobody else.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from weakref import WeakValueDictionary

from app import errors
from app.access import tokens
from app.access.base import Access
from app.access.ledger import Ledger, Token
from app.access.limits import Limits, network_of
from app.models import Actor, Identity

LOGIN = "auth.login.ok"
REMEMBERED = 3600.0
"""Seconds for which whoever proved a password is not held up by limits, nor is each of their
logins worth an entry: installers log in often."""
REPEATED = 300.0
"""Seconds for which a wrong password sent again counts as the guess that it was."""
PAIRS = 10_000
WAITING = 64
"""Logins from one client that may wait for one another."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a client sent. ``username`` is None with Bearer."""

    username: str | None
    secret: str
    address: str


class Report(Protocol):
    """Told of what is worth an entry: an action, whom it concerns, and how it ended.

    ``typed``: a name that somebody typed, which may be anything, a password too.
    """

    def __call__(
        self,
        action: str,
        *,
        target: str = "",
        typed: str | None = None,
        credential: str | None = None,
    ) -> None: ...


class Authenticator:
    """Answers who somebody is. ``used`` is told of each token that held, and returns at once."""

    def __init__(
        self,
        access: Access,
        ledger: Ledger,
        limits: Limits,
        *,
        unused_after: timedelta,
        used: Callable[[str, datetime], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._access, self._ledger, self._limits = access, ledger, limits
        self._unused_after, self._used, self._now = unused_after, used, now
        self._pairs = _Digest()
        self._proved, self._guessed = _Times(REMEMBERED), _Times(REPEATED)
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    async def identify(self, proof: Proof, report: Report) -> Identity:
        """Who this is.

        Raises errors.Unauthenticated, errors.Forbidden (a token from elsewhere than it may be
        used), errors.TooManyAttempts and errors.Unavailable.
        """
        text = proof.secret.strip(" ")
        if proof.username is None or tokens.looks_like(text):
            return await self._by_token(text, proof.address, report)
        return await self._by_password(proof.username, proof, report)

    # Passwords

    async def _by_password(self, username: str, proof: Proof, report: Report) -> Identity:
        if not username or not proof.secret:
            report("auth.login.fail", typed=username)
            raise errors.Unauthenticated
        key = self._pairs(network_of(proof.address), username, proof.secret)
        if key not in self._proved:
            return await self._login(username, proof, key, report)
        identity = await self._access.identify(username, proof.secret)
        if identity is None:  # it was changed meanwhile
            self._proved.forget(key)
            return await self._login(username, proof, key, report)
        return identity

    async def _login(self, username: str, proof: Proof, key: bytes, report: Report) -> Identity:
        """One at a time for each client, so that no guess begins before the last is counted."""
        client = network_of(proof.address)
        turn = self._turns.get(client)
        if turn is None:
            turn = self._turns[client] = _Turn()
        if turn.waiting >= WAITING:
            raise errors.Busy("Too many logins at once; try again in a moment.")
        turn.waiting += 1
        try:
            async with turn.lock:
                return await self._guess(username, proof, key, report)
        finally:
            turn.waiting -= 1

    async def _guess(self, username: str, proof: Proof, key: bytes, report: Report) -> Identity:
        marks = self._limits.login(proof.address, username)
        if key not in self._proved:  # nor did whoever was before us prove it
            try:
                await self._limits.check(*marks)
            except errors.TooManyAttempts:
                report("auth.login.locked", typed=username)
                raise
        identity = await self._access.identify(username, proof.secret)
        if identity is None:
            if key not in self._guessed:  # a job that tries a stale password again learns nothing
                await self._limits.count(*marks)
                self._guessed.add(key)
            report("auth.login.fail", typed=username)
            raise errors.Unauthenticated
        if key not in self._proved:
            report(LOGIN, target=f"user:{identity.actor.id}")
        self._proved.add(key)
        return identity

    # Tokens

    async def _by_token(self, text: str, address: str, report: Report) -> Identity:
        try:
            parsed = tokens.parse(text)
        except errors.Unauthenticated:
            report("auth.login.fail", target="token:?")
            raise
        token = await self._ledger.tokens.find(parsed.id)
        if token is None or not tokens.is_of(parsed, token):
            report("auth.login.fail", target="token:?")
            await self._limits.spend(self._limits.token(address))
            raise errors.Unauthenticated(
                "This token is not known here: it was revoked, or belongs to another index."
            )
        now = self._now()
        self._refuse_old(token, now, report)
        identity = await self._behind(token, report)
        if not tokens.within(address, token.networks):
            report("token.scope_denied", target=f"token:{token.id}", credential=token.id)
            raise errors.Forbidden(f"This token may not be used from {address}.")
        self._used(token.id, now)
        return replace(identity, anywhere=not token.networks)

    def _refuse_old(self, token: Token, now: datetime, report: Report) -> None:
        if now >= token.expires:
            report("token.expired_use", target=f"token:{token.id}", credential=token.id)
            raise errors.Unauthenticated(f"This token expired on {token.expires:%Y-%m-%d}.")
        unused = now - tokens.unused_since(token)
        if unused > self._unused_after:
            report("token.expired_use", target=f"token:{token.id}", credential=token.id)
            raise errors.Unauthenticated(
                f"This token was not used for {unused.days} days and does not hold any more."
            )

    async def _behind(self, token: Token, report: Report) -> Identity:
        """Who acts with the token, as of now."""
        if token.owner is None:
            return Identity(
                actor=Actor(kind="publisher", id=token.publisher or ""),
                principals=frozenset(),
                credential=token.id,
                scope=token.scope,
            )
        owner = await self._access.known(token.owner)
        if owner is None or owner.stamp != token.owner_stamp:
            report("auth.login.fail", target=f"token:{token.id}", credential=token.id)
            raise errors.Unauthenticated("This token's owner may not log in any more.")
        return replace(owner, credential=token.id, scope=token.scope)


class _Turn:
    """The logins of one client under way."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


class _Digest:
    """A keyed digest of what somebody sent from where: what is remembered of a password."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def __call__(self, *parts: str) -> bytes:
        message = b"\0".join(part.encode(errors="surrogatepass") for part in parts)
        return hmac.digest(self._secret, message, "sha256")


class _Times:
    """Keys, each remembered for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[bytes, float] = {}

    def __contains__(self, key: bytes) -> bool:
        return self._until.get(key, 0.0) > time.monotonic()

    def add(self, key: bytes) -> None:
        self._until.pop(key, None)
        if len(self._until) >= PAIRS:
            del self._until[next(iter(self._until))]
        self._until[key] = time.monotonic() + self._seconds

    def forget(self, key: bytes) -> None:
        self._until.pop(key, None)
