"""Sessions of people at the web pages: made at login, looked up by their digest, ended (7.3).

The cookie's secret is known to the browser alone. A session ends when it was not used for a
while, after some days in any case, and as soon as its user has another password, is disabled,
or is somebody else of the same name.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.access.base import Access
from app.access.ledger import Session, Sessions
from app.models import Identity

IDLE = timedelta(hours=12)
WHOLE = timedelta(days=7)
PROVED = timedelta(minutes=30)
"""How long a login counts as a proof for what matters more."""
_AGENT = 200


@dataclass(frozen=True, slots=True)
class Visit:
    """A session that holds, and who it is."""

    session: Session
    identity: Identity

    def proved(self, now: datetime) -> bool:
        """Whether a password was asked for lately."""
        return now - self.session.proved < PROVED

    def carries(self, token: str) -> bool:
        """Whether this is what the session's own forms carry."""
        return hmac.compare_digest(self.session.csrf.encode(), token.encode("utf-8", "replace"))


def digest(secret: str) -> str:
    """What is kept of a cookie's secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def begin(
    identity: Identity,
    now: datetime,
    *,
    proved: datetime | None = None,
    address: str = "",
    agent: str = "",
) -> tuple[Session, str]:
    """A new session of somebody who proved who they are, and the secret for the cookie.

    ``proved`` is when they did, if that was not now.
    """
    secret = secrets.token_urlsafe(32)
    session = Session(
        digest=digest(secret),
        user=identity.actor.id,
        stamp=stamp(identity),
        csrf=secrets.token_urlsafe(32),
        created=now,
        seen=now,
        expires=now + WHOLE,
        proved=min(proved or now, now),
        address=address,
        agent="".join(char for char in agent if char.isprintable())[:_AGENT],
    )
    return session, secret


async def visit(secret: str, sessions: Sessions, access: Access, now: datetime) -> Visit | None:
    """The session of a cookie, None where it does not hold (any more)."""
    if not 20 <= len(secret) <= 100:
        return None
    session = await sessions.find(digest(secret))
    if session is None:
        return None
    identity = await access.known(session.user)
    over = now >= session.expires or now - session.seen >= IDLE
    if over or identity is None or stamp(identity) != session.stamp:
        await sessions.end(session.digest)
        return None
    await sessions.touch(session.digest, now)
    return Visit(session, replace(identity, credential=session.digest[:16]))


def stamp(identity: Identity) -> str:
    """What of a user must stay the same while a session holds."""
    return f"{identity.stamp} {identity.version}"
