"""Logging people in at a provider: authorisation code with PKCE, state and nonce (RFC 9700)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, urlencode

from app import errors
from app.access.oidc import tokens
from app.access.oidc.issuers import issuer
from app.access.oidc.keyring import FRESH, Keyring
from app.access.oidc.options import SsoOptions
from app.outbound import Outbound, target

_ELSEWHERE = "This login was not begun here, or long ago."
_DECLINED = "The login was refused at the provider."
LIFE = 600
"""Seconds that a login may take."""
PAUSE = 5.0
"""Seconds between two attempts to learn of a provider that did not answer."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login under way; the browser keeps it."""

    state: str
    nonce: str
    verifier: str
    next: str
    until: int

    def packed(self, key: bytes) -> str:
        """For a cookie, signed."""
        body = base64.urlsafe_b64encode(json.dumps(asdict(self)).encode())
        return f"{body.decode()}.{_signature(key, body)}"


def unpacked(text: str, key: bytes) -> Attempt:
    """The attempt of a cookie; ValueError for what is none that was signed with the key."""
    body, _, signature = text.encode("utf-8", "replace").partition(b".")
    if not hmac.compare_digest(signature, _signature(key, body).encode()):
        raise ValueError("no attempt")
    return Attempt(**json.loads(base64.urlsafe_b64decode(body)))


def _signature(key: bytes, body: bytes) -> str:
    return hmac.digest(key, body, "sha256").hex()


class SigningIn:
    """One provider, the ``issuer`` of what says who somebody is."""

    def __init__(
        self,
        options: SsoOptions,
        outbound: Outbound,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options, self._outbound, self._clock = options, outbound, clock
        self.issuer = issuer(options.issuer, jwks_uri=options.jwks_uri)
        # Of all replicas the same, and of nobody else.
        self._key = hmac.digest(self._secret.encode(), b"pypicloud: logins under way", "sha256")
        self._keyring = Keyring(outbound)
        self._document: Mapping[str, object] = {}
        self._stale = self._again = 0.0
        self._asking = asyncio.Lock()

    async def begin(self, back: str, next: str, *, max_age: int | None = None) -> tuple[str, str]:
        """What the browser keeps, and where it goes; ``back`` is our own URL for the way back.

        Who logged in there longer ago than ``max_age`` seconds is to do so again.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": back,
            "scope": self._options.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **({} if max_age is None else {"max_age": str(max_age)}),
        }
        attempt = Attempt(state, nonce, verifier, next, int(self._clock()) + LIFE)
        where = await self._endpoint("authorization_endpoint")
        return attempt.packed(self._key), f"{where}{'&' if '?' in where else '?'}{urlencode(query)}"

    def attempt(self, kept: str, state: str) -> Attempt:
        """The attempt that this is the way back of; errors.Unauthenticated where there is none."""
        try:
            attempt = unpacked(kept, self._key)
        except ValueError:
            raise errors.Unauthenticated(_ELSEWHERE) from None
        same = hmac.compare_digest(attempt.state.encode(), state.encode("utf-8", "replace"))
        if not same or self._clock() > attempt.until:
            raise errors.Unauthenticated(_ELSEWHERE)
        return attempt

    def wanted(self, kept: str) -> str:
        """The page that the login of a cookie was to lead to, however old; empty: it is none."""
        try:
            return unpacked(kept, self._key).next
        except ValueError:
            return ""

    async def finish(self, attempt: Attempt, code: str, back: str) -> Mapping[str, Any]:
        """The claims of who logged in; without a ``code`` the provider let nobody in.

        Raises errors.MintRefused for a token that does not hold, errors.Unauthenticated where
        the provider gives none, and errors.Unreachable.
        """
        if not code:
            raise errors.Unauthenticated(_DECLINED)
        text = await self._exchange(attempt, code, back)
        unverified = tokens.parse(text)
        if unverified.issuer != self._options.issuer:
            tokens.refuse("The token's issuer is another one.")
        key = await self._keyring.key(self.issuer, unverified.kid)
        if key is None:
            tokens.refuse("The token is signed with a key that its issuer does not have.")
        claims = tokens.verify(unverified, key, key.algorithm)
        tokens.check_audience(claims, (self._options.client_id,), listed=True)
        tokens.check_times(claims, self._clock(), lifetime=tokens.DAY)
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(
            nonce.encode("utf-8", "replace"), attempt.nonce.encode()
        ):
            tokens.refuse("The token is not of this login.")
        if claims.get("azp", self._options.client_id) != self._options.client_id:
            tokens.refuse("The token is not made for this index.")
        return claims

    async def _exchange(self, attempt: Attempt, code: str, back: str) -> str:
        options = self._options
        pair = f"{quote(options.client_id, safe='')}:{quote(self._secret, safe='')}"
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": attempt.verifier,
        }
        answer = await self._outbound.post(
            await self._endpoint("token_endpoint"),
            urlencode(body).encode(),
            authorization=f"Basic {base64.b64encode(pair.encode()).decode()}",
            content_type="application/x-www-form-urlencoded",
        )
        try:
            token = json.loads(answer.body).get("id_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if answer.status != 200 or not isinstance(token, str):
            raise errors.Unauthenticated("The provider did not say who you are.")
        return token

    @property
    def _secret(self) -> str:
        kept = self._options.client_secret
        return kept.get_secret_value() if kept else ""

    async def _endpoint(self, name: str) -> str:
        try:
            found = (await self._described()).get(name)
            if not isinstance(found, str):
                raise ValueError(f"it has no {name}")
            target(found)
        except ValueError as wrong:
            raise errors.Unreachable(f"The provider of single sign-on: {wrong}") from None
        return found

    async def _described(self) -> Mapping[str, object]:
        """What the provider says of itself, asked for once an hour, and not at once again."""
        async with self._asking:
            now = self._clock()
            if now < self._stale:
                return self._document
            if now < self._again:
                raise errors.Unreachable("The provider of single sign-on did not answer just now.")
            self._again = now + PAUSE
            self._document = await self._keyring.discovery(self._options.issuer)
            self._stale = now + FRESH
        return self._document
