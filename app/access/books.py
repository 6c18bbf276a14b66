"""What keeps the ledger's books in one process, put together: limits, logins, the trail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app import errors, plugins
from app.access import shipping, upkeep
from app.access.authentication import Authenticator
from app.access.base import Access
from app.access.chronicle import Chronicle
from app.access.ledger import Ledger
from app.access.limits import Limits
from app.access.options import AuditOptions, LimitOptions

DEFAULT = "sqlite+aiosqlite:///data/access.db"
"""Where the ledger is beside users that are only read."""


@dataclass(frozen=True, slots=True)
class Books:
    """Limits, who asks, and the trail; what they leave for later is done in the background."""

    limits: Limits
    authenticator: Authenticator
    chronicle: Chronicle


@asynccontextmanager
async def opened(
    url: str, access: Access, options: Callable[[str], Mapping[str, Any]]
) -> AsyncIterator[Ledger]:
    """The ledger at a URL; where that is empty the one of the users, else one in a file.

    ``options`` gives those of the backend at a URL.

    Raises errors.Misconfigured where nothing but users is kept there.
    """
    own: Ledger | None = getattr(access, "ledger", None)
    if own is not None and not url:
        yield own
        return
    where = url or DEFAULT
    async with plugins.backend("access", where)(where, options(where)) as backend:
        ledger: Ledger | None = getattr(backend, "ledger", None)
        if ledger is None:
            scheme = where.partition(":")[0]
            raise errors.Misconfigured(f"No tokens can be kept in {scheme!r}.")
        yield ledger


@asynccontextmanager
async def kept(
    access: Access,
    ledger: Ledger,
    *,
    unused_after: timedelta = timedelta(days=90),
    limits: LimitOptions | None = None,
    audit: AuditOptions | None = None,
) -> AsyncIterator[Books]:
    """Keep them while the block runs."""
    told = audit or AuditOptions()

    async def exists(name: str) -> bool:
        return await access.known(name) is not None

    async with shipping.shipping(shipping.places(told)) as ship:
        chronicle = Chronicle(
            ledger.trail,
            exists=exists,
            ship=ship,
            failures=told.failures,
            addresses=told.addresses,
        )
        uses = upkeep.LastUses(ledger.tokens)
        counted = Limits(ledger.attempts, limits)
        authenticator = Authenticator(access, ledger, counted, unused_after=unused_after, used=uses)
        async with upkeep.keep(ledger, chronicle, uses):
            yield Books(counted, authenticator, chronicle)
