"""The Ledger protocols: what access keeps that is not who somebody is.

Tokens, sessions, publishers, subjects of providers, what may be used only once, attempts, and
the audit trail. A ledger is kept where users may be edited (SQL, DynamoDB), also beside a
backend of users that is read only. Secrets are kept as SHA-256 alone. Times are aware, UTC.
Methods raise errors.AccessUnavailable when the ledger cannot be asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from packaging.utils import NormalizedName

from app.models import Actor, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its secret. ``owner`` is a user's name; None: minted for ``publisher``.

    ``owner_stamp`` is the owner's generation where the backend knows one, so that a name
    taken again by somebody else does not own it. ``networks`` (CIDR) empty: from anywhere.
    ``parent`` is the id of the token that it was made with, None where it was another proof.
    """

    id: str
    name: str
    owner: str | None
    scope: Scope
    created: datetime
    expires: datetime
    digest: str
    owner_stamp: str = ""
    publisher: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    last_used: datetime | None = None
    parent: str | None = None


class Tokens(Protocol):
    """API tokens."""

    async def add(self, token: Token) -> None:
        """Keep a new one; errors.TokenNotFound where the one that it was made with is gone."""
        ...

    async def find(self, id: str) -> Token | None:
        """By its public id; expired ones too, revoked ones never."""
        ...

    async def of(self, owner: str | None = None) -> Sequence[Token]:
        """Those of one owner, or all, newest first."""
        ...

    async def revoke(self, id: str) -> bool:
        """At once, with all that were or are being made with it; False where there is none."""
        ...

    async def revoke_all(self, owner: str) -> int:
        """Those of one owner, as when the user goes."""
        ...

    async def used(self, id: str, now: datetime) -> None:
        """Note the last use; not more than one write a minute."""
        ...

    async def bind(self, project: NormalizedName, generation: str) -> None:
        """Give scopes that name the project without a generation the one that has come."""
        ...

    async def sweep(self, now: datetime) -> int:
        """Drop what expired more than a day ago."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Who may mint upload tokens for a project (trusted publishing).

    ``generation`` None: pending, for a project that does not exist yet. ``conditions`` are
    the claims that must be equal (``repository``, ``workflow``, ``environment``, …), each
    provider's own; ``pinned`` are immutable ids, from registration or the first use.
    """

    id: str
    project: NormalizedName
    generation: str | None
    provider: str
    issuer: str
    conditions: Mapping[str, str | None]
    added: datetime
    added_by: Actor
    pinned: Mapping[str, str] = field(default_factory=dict)


class Publishers(Protocol):
    """Trusted publishers."""

    async def add(self, publisher: Publisher) -> None:
        """errors.PublisherExists where an equal one is there."""
        ...

    async def of(self, project: NormalizedName) -> Sequence[Publisher]:
        """Those of a project, pending ones too."""
        ...

    async def at(self, issuer: str) -> Sequence[Publisher]:
        """Those of an issuer."""
        ...

    async def find(self, id: str) -> Publisher | None: ...

    async def remove(self, id: str) -> bool:
        """With the tokens minted for it."""
        ...

    async def pin(self, id: str, pinned: Mapping[str, str]) -> None:
        """Keep the ids that its first use showed; those that are kept already stay."""
        ...

    async def bind(self, project: NormalizedName, generation: str) -> None:
        """A pending one's project has come."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is logged in at the web pages. ``digest`` is of the cookie's secret.

    ``stamp`` is what of the user must still hold (password version, generation); ``csrf`` is
    what forms carry; ``proved`` is when a password was last asked for.
    """

    digest: str
    user: str
    stamp: str
    csrf: str
    created: datetime
    seen: datetime
    expires: datetime
    proved: datetime
    address: str = ""
    agent: str = ""


class Sessions(Protocol):
    """Sessions of the web pages."""

    async def add(self, session: Session) -> None: ...

    async def find(self, digest: str) -> Session | None: ...

    async def of(self, user: str) -> Sequence[Session]: ...

    async def touch(self, digest: str, now: datetime) -> None:
        """Note that it was seen; not more than one write a minute."""
        ...

    async def end(self, digest: str) -> bool: ...

    async def end_all(self, user: str) -> int:
        """Log out everywhere."""
        ...

    async def sweep(self, now: datetime) -> int: ...


class Subjects(Protocol):
    """Which of a provider's people which user is (OpenID Connect: ``iss`` and ``sub``).

    Names and addresses at a provider change hands, these two do not.
    """

    async def user(self, issuer: str, subject: str) -> str | None:
        """The user that the subject is bound to."""
        ...

    async def bind(self, issuer: str, subject: str, user: str) -> bool:
        """Bind them to one another, unless either is bound there; whether they are so now."""
        ...

    async def release(self, user: str) -> int:
        """The user is nobody's any more, as when it goes; how many subjects it had."""
        ...


class Once(Protocol):
    """What may be used a single time: JWT ids, sign-up tokens, states of a login."""

    async def use(self, kind: str, id: str, until: datetime) -> bool:
        """True for exactly one of all who ask, on all replicas, until the time given."""
        ...

    async def sweep(self, now: datetime) -> int: ...


class Attempts(Protocol):
    """Attempts counted over a sliding window, shared by all replicas."""

    async def count(self, key: str, window: timedelta, now: datetime) -> int:
        """How many within the window."""
        ...

    async def add(self, key: str, window: timedelta, now: datetime) -> int:
        """One more; how many there are then."""
        ...

    async def sweep(self, now: datetime) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event of the audit trail.

    ``action`` is of security's list (``auth.login.fail``, ``token.create``, …); ``head`` is
    the SHA-256 over the entry and the ``head`` before it. Never a secret in any field.
    """

    number: int
    time: datetime
    action: str
    actor: Actor | None
    target: str
    outcome: str
    credential: str | None = None
    address: str = ""
    agent: str = ""
    request: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    head: str = ""


class Trail(Protocol):
    """The audit trail: append only, gapless, hash-chained."""

    async def append(self, entry: Entry) -> Entry:
        """Give it its number and head, and keep it."""
        ...

    def entries(
        self, *, after: int = 0, limit: int | None = None, **equal: str
    ) -> AsyncIterator[Entry]:
        """Ascending; ``equal`` filters by action, actor or target."""
        ...


class Ledger(Protocol):
    """The whole of it, on one database."""

    @property
    def tokens(self) -> Tokens: ...

    @property
    def publishers(self) -> Publishers: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def subjects(self) -> Subjects: ...

    @property
    def once(self) -> Once: ...

    @property
    def attempts(self) -> Attempts: ...

    @property
    def trail(self) -> Trail: ...
