"""What may be done to what is published: yank, delete, restore, status.

Every act is an event; doing again what is done already adds none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from packaging.utils import NormalizedName

from app import errors, events
from app.events import Event
from app.index.commit import Commits, Draft, following
from app.models import Actor, File, FileState, Project, Status
from app.names import canonical_version
from app.storage.base import Storage

REASON_LENGTH = 1000

Act = tuple[str, str | None]
"""The type of an event, and its reason."""


def reason_of(text: str | None) -> str | None:
    """A reason as it is kept: one line, trimmed. Raises errors.Invalid when too long."""
    if text is None:
        return None
    line = " ".join(text.split())
    if len(line) > REASON_LENGTH or not line.isprintable():
        raise errors.Invalid(
            f"A reason is one line of at most {REASON_LENGTH} printable characters."
        )
    return line


def to_restore(project: Project, version: str) -> Sequence[File]:
    """The deleted files of a release; those that are there where it was restored already.

    Raises errors.ReleaseNotFound, and errors.FilenameUsed where all bytes are purged.
    """
    wanted = canonical_version(version)
    every = [f for f in project.files if canonical_version(f.version) == wanted]
    kept = [f for f in project.restorable if canonical_version(f.version) == wanted]
    if found := kept or project.release(version):
        return found
    if any(f.generation == project.generation for f in every):
        raise errors.FilenameUsed
    raise errors.ReleaseNotFound(project.name, version)


class Curator:
    """Changes the state of files and projects."""

    def __init__(self, storage: Storage, commits: Commits) -> None:
        self._storage = storage
        self._commits = commits

    async def yank(self, file: File, reason: str | None, actor: Actor) -> File:
        """Yank a file (PEP 592); a new reason replaces the old one."""
        wanted = reason_of(reason) or ""

        def act(now: File) -> Act | None:
            return None if now.yanked == wanted else ("yank", wanted)

        return await self._on_file(file, act, actor)

    async def unyank(self, file: File, actor: Actor) -> File:
        """Take a yank back."""

        def act(now: File) -> Act | None:
            return None if now.yanked is None else ("unyank", None)

        return await self._on_file(file, act, actor)

    async def delete(self, file: File, actor: Actor) -> File:
        """Delete a file: it disappears at once, its bytes after a grace period."""

        def act(now: File) -> Act | None:
            gone = now.state in (FileState.DELETED, FileState.PURGED)
            return None if gone else ("delete", None)

        return await self._on_file(file, act, actor, anyhow=True)

    async def restore(self, file: File, actor: Actor) -> File:
        """Bring a deleted file back. Raises errors.FilenameUsed once its bytes are purged."""
        if await self._storage.head(file.blob) is None:
            raise errors.FilenameUsed

        def act(now: File) -> Act | None:
            if now.state is FileState.PURGED:
                raise errors.FilenameUsed
            return ("restore", None) if now.state is FileState.DELETED else None

        return await self._on_file(file, act, actor, anyhow=True)

    async def purge(self, file: File, actor: Actor) -> File:
        """Say of a deleted file that its bytes will be removed; nothing restores it then."""

        def act(now: File) -> Act | None:
            return ("purge", None) if now.state is FileState.DELETED else None

        return await self._on_file(file, act, actor, anyhow=True)

    async def set_status(
        self, name: NormalizedName, status: Status, reason: str | None, actor: Actor
    ) -> Project:
        """Set the project's status marker (PEP 792)."""
        wanted = reason_of(reason) or None

        def draft(records: Sequence[bytes]) -> Event | None:
            now = _standing(name, records)
            if (now.status, now.status_reason) == (status, wanted):
                return None
            return following(records, "status", actor, reason=wanted, status=status)

        return await self._on_project(name, draft)

    async def delete_project(self, name: NormalizedName, actor: Actor) -> Project:
        """Delete a project with everything in it, by one event."""

        def draft(records: Sequence[bytes]) -> Event | None:
            _standing(name, records)
            return following(records, "delete", actor)

        return await self._on_project(name, draft)

    async def restore_project(self, name: NormalizedName, actor: Actor) -> Project:
        """Bring a deleted project back with all that was in it."""

        def draft(records: Sequence[bytes]) -> Event | None:
            if not records:
                raise errors.ProjectNotFound(name)
            deleted = events.fold_project(records).deleted
            return following(records, "restore", actor) if deleted else None

        return await self._on_project(name, draft)

    async def _on_project(self, name: NormalizedName, draft: Draft) -> Project:
        return events.fold_project((await self._commits.to_project(name, draft)).records)

    async def _on_file(
        self,
        file: File,
        act: Callable[[File], Act | None],
        actor: Actor,
        *,
        anyhow: bool = False,
    ) -> File:
        def draft(records: Sequence[bytes]) -> Event | None:
            if not records:
                raise errors.FileNotFound(file.project, file.filename)
            now = events.fold_file(records)
            if now.state is not FileState.PUBLISHED and not anyhow:
                raise errors.FileNotFound(file.project, file.filename)
            wanted = act(now)
            return following(records, wanted[0], actor, reason=wanted[1]) if wanted else None

        added = await self._commits.to_file(file.project, file.filename, draft)
        return events.fold_file(added.records)


def _standing(name: NormalizedName, records: Sequence[bytes]) -> Project:
    """The project as it stands; deleted ones are not found."""
    if not records or (project := events.fold_project(records)).deleted:
        raise errors.ProjectNotFound(name)
    return project
