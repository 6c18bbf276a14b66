"""Recording what a request did: for the other replicas, and in the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from app.access import trail
from app.access.chronicle import Chronicle
from app.dependencies import ChronicleDep, IdentityDep, IndexDep
from app.index import Index
from app.models import Actor, Change, Identity
from app.reports import entry_of

ANONYMOUS = Actor(kind="anonymous", id="")


class Recorder:
    """Records what one request did, once it stands."""

    def __init__(
        self, index: Index, chronicle: Chronicle, request: Request, identity: Identity | None
    ) -> None:
        self._index, self._chronicle, self._request = index, chronicle, request
        self._actor = identity.actor if identity else ANONYMOUS

    async def __call__(
        self,
        action: str,
        target: str,
        *,
        outcome: str = "ok",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """A change of access: an entry, and every replica notices.

        ``action`` is of the audit's list, ``target`` whom it concerns; other outcomes than
        ``ok`` changed nothing. Raises errors.CacheUnavailable: what was changed stands, and
        the client asks again.
        """
        await self.entry(action, target, outcome=outcome, before=before, after=after)
        if outcome == "ok":
            now = datetime.now(UTC)
            change = Change(action=action, time=now, actor=self._actor, filename=target)
            await self._index.record(change)

    async def entry(
        self,
        action: str,
        target: str,
        *,
        outcome: str = "ok",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """An entry alone, for what the index itself tells the replicas."""
        facts = {"outcome": outcome, "before": before, "after": after}
        entry = entry_of(self._request, action, trail.whom(action, target), **facts)
        await self._chronicle.append(entry)

    def refused(self, action: str, target: str, *, after: Mapping[str, Any] | None = None) -> None:
        """An entry soon, or one of those that are counted: no flood of them fills the trail."""
        target = trail.whom(action, target)
        facts = {"outcome": "refused", "before": None, "after": after}
        self._chronicle.note(entry_of(self._request, action, target, **facts))


async def get_recorder(
    index: IndexDep, chronicle: ChronicleDep, request: Request, identity: IdentityDep
) -> Recorder:
    """Records in the name of whoever asks."""
    return Recorder(index, chronicle, request, identity)


RecorderDep = Annotated[Recorder, Depends(get_recorder)]
