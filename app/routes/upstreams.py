"""``/api/v1/upstreams``: how the indexes that we fall back on are doing, for admins."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.dependencies import AdminDep, UpstreamsDep
from app.routes.router import Router
from app.routes.schemas import FAILURES
from app.upstream.client import COUNTS, Client
from app.upstream.options import Policy

router = Router(prefix="/api/v1", tags=["upstreams"], responses=FAILURES)


class UpstreamLine(BaseModel):
    """One upstream, as this process knows it since its start."""

    name: str
    policy: Policy
    offline: bool = Field(description="whether nobody is asked, by a setting")
    breaker: str = Field(description="`open` while it is left alone because it failed, or `closed`")
    counts: dict[str, int] = Field(
        description="asked, answered, failed; microseconds until answers began; bytes; pages that "
        "were a hit, miss, stale; entries dropped; files fetched, wrong, changed, refused by rules"
    )

    @classmethod
    def of(cls, client: Client) -> UpstreamLine:
        """The line of one."""
        return cls(
            name=client.name,
            policy=client.options.policy,
            offline=client.offline,
            breaker=client.breaker.state,
            counts={name: client.counts[name] for name in COUNTS},
        )


class UpstreamList(BaseModel):
    """All upstreams, in the order in which they are asked."""

    upstreams: list[UpstreamLine]


@router.get("/upstreams", summary="How upstreams are doing")
async def list_upstreams(upstreams: UpstreamsDep, admin: AdminDep) -> UpstreamList:
    """The counts are of this process alone, whole numbers that only grow."""
    return UpstreamList(upstreams=[UpstreamLine.of(client) for client in upstreams.clients])
