"""``/api/v1/audit``: the audit trail, for admins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.access import trail
from app.access.ledger import Entry
from app.dependencies import AdminDep, LedgerDep
from app.routes.router import Router
from app.routes.schemas import FAILURES, NO_NUL

router = Router(prefix="/api/v1", tags=["audit"], responses=FAILURES)

PAGE = 1000
LINES = "application/x-ndjson"
_LINES = (LINES, "application/jsonl", "application/jsonlines")


class EntryLine(BaseModel):
    """One entry of the trail."""

    number: int
    time: datetime
    action: str
    actor: dict[str, str] | None = Field(description="`kind` and `id`; null: nobody known")
    target: str
    outcome: str
    credential: str | None = Field(description="the id of the token or session")
    address: str
    agent: str
    request: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    head: str = Field(description="SHA-256 over the entry and the head before it")


class TrailPage(BaseModel):
    """Entries, ascending, and where to go on."""

    entries: list[EntryLine]
    next: int | None = Field(description="`after` of the next page; null on the last")


@router.get(
    "/audit",
    summary="Read the audit trail",
    response_model=TrailPage,
    responses={200: {"content": {LINES: {}}}},
)
async def read_trail(
    request: Request,
    ledger: LedgerDep,
    admin: AdminDep,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 100,
    action: Annotated[str, Query(max_length=64, pattern=NO_NUL)] = "",
    actor: Annotated[str, Query(max_length=200, pattern=NO_NUL, description="`kind:id`")] = "",
    target: Annotated[str, Query(max_length=500, pattern=NO_NUL)] = "",
) -> TrailPage | Response:
    """Entries with a number above ``after``; as JSON lines all that there are, on request."""
    asked = {"action": action, "actor": actor, "target": target}
    equal = {name: value for name, value in asked.items() if value}
    if any(kind in request.headers.get("accept", "") for kind in _LINES):
        return exported(ledger.trail.entries(after=after, limit=None, **equal))
    found = [entry async for entry in ledger.trail.entries(after=after, limit=limit + 1, **equal)]
    return TrailPage(
        entries=[EntryLine(**trail.shown(entry)) for entry in found[:limit]],
        next=found[limit - 1].number if len(found) > limit else None,
    )


def exported(entries: AsyncIterator[Entry]) -> StreamingResponse:
    """Entries, one a line, as they are sealed."""
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(_lines(entries), media_type=LINES, headers=headers)


async def _lines(entries: AsyncIterator[Entry]) -> AsyncIterator[bytes]:
    async for entry in entries:
        yield trail.packed(entry) + b"\n"
