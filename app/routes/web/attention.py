"""What needs the attention of whoever looks at the start page, of those who may act on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from app import errors
from app.access import policy
from app.access.ledger import Ledger
from app.access.options import TokenOptions
from app.dependencies import (
    AccessDep,
    DefaultsDep,
    IndexDep,
    LedgerDep,
    ProbesDep,
    SettingsDep,
    UpstreamsDep,
)
from app.index import Index
from app.models import Identity
from app.routes import browsing, health
from app.routes.managed import projects_of
from app.routes.web.viewing import RootDep, ViewerDep
from app.state import Probe
from app.upstream.upstreams import Upstreams
from app.web.home import Attention, of_projects, of_reindex, of_tokens

TIMEOUT = health.TIMEOUT + 0.5
"""Seconds that a source has: no page waits longer for any. Probes have theirs within."""
Ask = Callable[[], Awaitable[list[Attention]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Where something may be that needs the attention of ``identity``."""

    request: Request
    identity: Identity
    index: Index
    access: Any
    defaults: policy.Defaults
    ledger: Ledger
    probes: Mapping[str, Probe]
    upstreams: Upstreams
    tokens: TokenOptions
    root: str

    async def found(self) -> list[Attention]:
        """All there is; a source that fails is told of, and hides no other."""
        asked = [self._asked(name, ask) for name, ask in self._sources().items()]
        return [one for several in await asyncio.gather(*asked) for one in several]

    def _sources(self) -> Mapping[str, Ask]:
        own: dict[str, Ask] = {"projects": self._projects, "tokens": self._tokens}
        if not policy.administers(self.identity):
            return own
        return {
            "users": self._registrations,
            "health": self._parts,
            "reindex": self._reindex,
            "upstreams": self._upstreams,
            **own,
        }

    async def _asked(self, name: str, ask: Ask) -> list[Attention]:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await ask()
        except (errors.Unavailable, TimeoutError):
            at = {"tokens": "/account", "projects": "/search"}.get(name, "/admin")
            return [Attention(kind="unasked", url=f"{self.root}{at}", text=name)]

    async def _registrations(self) -> list[Attention]:
        if not hasattr(self.access, "approve"):
            return []
        waiting = sum(user.pending for user in await self.access.users())
        url = f"{self.root}/admin#pending"
        return [Attention(kind="registrations", url=url, count=waiting)] if waiting else []

    async def _parts(self) -> list[Attention]:
        told = await health.ready(self.request, Response(), self.index, self.probes)
        return [
            Attention(kind="part", url=f"{self.root}/admin", text=f"{part}: {word}")
            for part, word in told.parts.items()
            if word != "ok"
        ]

    async def _reindex(self) -> list[Attention]:
        return of_reindex(await self.index.reindexing(), self.root)

    async def _upstreams(self) -> list[Attention]:
        url = f"{self.root}/admin/upstreams"
        return [
            Attention(kind="upstream", url=url, text=client.name)
            for client in self.upstreams.clients
            if client.breaker.state == "open"
        ]

    async def _projects(self) -> list[Attention]:
        mine = await projects_of(self.identity, self.index, self.access, self.defaults)
        return of_projects(mine, self.root)

    async def _tokens(self) -> list[Attention]:
        kept = await self.ledger.tokens.of(self.identity.actor.id)
        return of_tokens(kept, self.tokens.unused_after, browsing.now(), self.root)


async def get_watch(
    request: Request,
    viewer: ViewerDep,
    index: IndexDep,
    access: AccessDep,
    defaults: DefaultsDep,
    ledger: LedgerDep,
    probes: ProbesDep,
    upstreams: UpstreamsDep,
    settings: SettingsDep,
    root: RootDep,
) -> Watch | None:
    """None for the anonymous, and for tokens: what they are made for is not this."""
    if viewer.identity is None or viewer.identity.scope is not None:
        return None
    return Watch(
        request=request,
        identity=viewer.identity,
        index=index,
        access=access,
        defaults=defaults,
        ledger=ledger,
        probes=probes,
        upstreams=upstreams,
        tokens=settings.tokens,
        root=root,
    )


WatchDep = Annotated[Watch | None, Depends(get_watch)]
