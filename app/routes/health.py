"""Whether the process lives, and whether it can do its work: for probes and balancers."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app import errors
from app.dependencies import IndexDep, Probe, ProbesDep

router = APIRouter(tags=["health"])

TIMEOUT = 2.0
"""Seconds that a part has to answer."""

Word = Literal["ok", "stale", "building", "unavailable"]
"""``stale``: it does not answer, but what is known of it goes on being served for a while."""


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """A word for each part; ``status`` is the worst of them."""

    status: Word
    parts: dict[str, Word]


@router.get("/health/live", summary="Does the process answer?")
@router.head("/health/live", include_in_schema=False)
async def live(response: Response) -> Liveness:
    """Asks nothing of any backend."""
    response.headers["Cache-Control"] = "no-store"
    return Liveness()


@router.get(
    "/health/ready",
    summary="Can it do its work?",
    responses={503: {"model": Readiness, "description": "Not now; the parts say why."}},
)
@router.head("/health/ready", include_in_schema=False)
@router.get("/health", include_in_schema=False)
@router.head("/health", include_in_schema=False)
async def ready(response: Response, index: IndexDep, probes: ProbesDep) -> Readiness:
    """Storage, cache and access answer, and the index was completely built.

    While the cache does not answer, but known projects may still be served, it is stale: 200.
    """
    words = await asyncio.gather(*(_ask(probe) for probe in probes.values()), _built(index.ready))
    parts = dict(zip((*probes, "index"), words, strict=True))
    if parts["cache"] == "unavailable" and index.serves_stale:
        parts |= {"cache": "stale", "index": "stale"}
    worst: list[Word] = ["unavailable", "building", "stale", "ok"]
    status = next(word for word in worst if word in parts.values())
    response.headers["Cache-Control"] = "no-store"
    if status in ("building", "unavailable"):
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return Readiness(status=status, parts=parts)


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
