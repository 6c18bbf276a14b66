"""Claiming names: the first event of a project."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from packaging.utils import NormalizedName
from ulid import ULID

from app import errors, events
from app.events import Event
from app.index.commit import Commits
from app.models import Actor, Project, Status

CLOSED = (Status.ARCHIVED, Status.QUARANTINED)


def refuse_closed(project: Project) -> None:
    """Raises errors.ProjectClosed where the status refuses new files (PEP 792)."""
    if not project.deleted and project.status in CLOSED:
        raise errors.ProjectClosed(project.name, project.status)


async def claim(
    commits: Commits, name: NormalizedName, display_name: str, actor: Actor
) -> tuple[Project, bool]:
    """Take a name that is new or was deleted; of racing callers one claims it, and gets True.

    Raises errors.ProjectClosed.
    """

    def draft(records: Sequence[bytes]) -> Event | None:
        if records:
            project = events.fold_project(records)
            refuse_closed(project)
            if not project.deleted:
                return None
        return Event(
            v=events.VERSION,
            seq=len(records) + 1,
            type="claim",
            time=datetime.now(UTC),
            actor=actor,
            project=name,
            generation=str(ULID()),
            prev=events.digest(records[-1]) if records else None,
            display_name=display_name,
        )

    added = await commits.to_project(name, draft)
    return events.fold_project(added.records), added.event is not None
