"""Whether the process lives, and whether it can do its work: for probes and balancers."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel

from app import errors
from app.dependencies import IndexDep, ProbesDep
from app.routes.router import Router
from app.state import Probe
from app.state import of as _state

router = Router(tags=["health"])

TIMEOUT = 2.0
"""Seconds that a part has to answer."""

Word = Literal["ok", "stale", "building", "ending", "unavailable"]
"""``stale``: it does not answer, but what is known of it goes on being served for a while.

``ending``: the process was told to stop."""


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Staleness(BaseModel):
    """How old what is served may be, and how old it may become, in seconds."""

    age: float
    limit: float


class Readiness(BaseModel):
    """A word for each part; ``status`` is the worst of them. ``stale`` is there where a part is."""

    status: Word
    parts: dict[str, Word]
    stale: Staleness | None = None


@router.get("/health/live", summary="Does the process answer?")
@router.head("/health/live", include_in_schema=False)
async def live(response: Response) -> Liveness:
    """Asks nothing of any backend."""
    response.headers["Cache-Control"] = "no-store"
    return Liveness()


@router.get(
    "/health/ready",
    summary="Can it do its work?",
    response_model_exclude_none=True,
    responses={503: {"model": Readiness, "description": "Not now; the parts say why."}},
)
@router.head("/health/ready", include_in_schema=False)
@router.get("/health", include_in_schema=False, response_model_exclude_none=True)
@router.head("/health", include_in_schema=False)
async def ready(
    request: Request, response: Response, index: IndexDep, probes: ProbesDep
) -> Readiness:
    """Storage, cache and access answer, and the index was completely built.

    While the cache does not answer, but known projects may still be served, it is stale: 200,
    and it says for how long by now, and for how long at most. So is a storage that clients
    fetch files from themselves: pages need none, and uploads are refused.
    """
    words = await asyncio.gather(*(_ask(probe) for probe in probes.values()), _built(index.ready))
    parts = dict(zip((*probes, "index"), words, strict=True))
    stale = None
    if parts["cache"] == "unavailable" and index.serves_stale and (age := index.age) is not None:
        parts |= {"cache": "stale", "index": "stale"}
        stale = Staleness(
            age=round(age.total_seconds(), 1), limit=index.stale_limit.total_seconds()
        )
    if parts["storage"] == "unavailable" and index.locations and index.locations.away:
        parts["storage"] = "stale"
    if _state(request)["life"].draining:
        parts["process"] = "ending"
    worst: list[Word] = ["unavailable", "ending", "building", "stale", "ok"]
    status = next(word for word in worst if word in parts.values())
    response.headers["Cache-Control"] = "no-store"
    if status in ("building", "ending", "unavailable"):
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return Readiness(status=status, parts=parts, stale=stale)


async def _ask(probe: Probe) -> Word:
    try:
        async with asyncio.timeout(TIMEOUT):
            await probe()
    except (errors.Unavailable, TimeoutError):
        return "unavailable"
    return "ok"


async def _built(built: Probe) -> Word:
    try:
        async with asyncio.timeout(TIMEOUT):
            return "ok" if await built() else "building"
    except (errors.Unavailable, TimeoutError):
        return "unavailable"
