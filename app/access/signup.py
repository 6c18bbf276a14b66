"""Sign-up tokens: an admin's word that somebody may register, until a time. Pure.

A token is ``signup-PAYLOAD.SIGNATURE``: name, end and a number used once, in base64, and their
HMAC-SHA256. That it works once is the ledger's to see (ledger.Once).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from app import errors
from app.access.principals import user_name

ONCE = "signup"
"""The kind under which the ledger keeps used ones."""
_PREFIX = "signup-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Who may register, and until when."""

    name: str
    expires: datetime
    nonce: str


def invite(name: str, expires: datetime) -> Invitation:
    """A new one; errors.InvalidName."""
    whole = expires.replace(microsecond=0)
    return Invitation(name=user_name(name), expires=whole, nonce=secrets.token_hex(16))


def sign(invitation: Invitation, key: str) -> str:
    """The token of an invitation."""
    seconds = int(invitation.expires.timestamp())
    payload = f"{invitation.name}:{seconds}:{invitation.nonce}".encode()
    return f"{_PREFIX}{base64.urlsafe_b64encode(payload).decode()}.{_signature(payload, key)}"


def read(token: str, key: str, now: datetime) -> Invitation:
    """The invitation of a token; errors.Forbidden for one that was not made here, or is over."""
    encoded, _, signature = token.removeprefix(_PREFIX).partition(".")
    try:
        payload = base64.b64decode(encoded, altchars=b"-_", validate=True)
    except ValueError:
        raise _refused() from None
    right = hmac.compare_digest(_signature(payload, key).encode(), signature.encode())
    if not (token.startswith(_PREFIX) and right):
        raise _refused()
    name, seconds, nonce = payload.decode().split(":")
    expires = datetime.fromtimestamp(int(seconds), UTC)
    if expires <= now:
        raise _refused()
    return Invitation(name=name, expires=expires, nonce=nonce)


def _signature(payload: bytes, key: str) -> str:
    return hmac.new(key.encode(), payload, "sha256").hexdigest()


def _refused() -> errors.Forbidden:
    return errors.Forbidden("This sign-up token is not valid, or not any more.")
