"""Remove bytes that nobody can ask for any more: of deleted files, and of dead attempts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ulid import ULID

from app.index import blobs, pending
from app.index.journal import Journal
from app.index.manage import Curator
from app.models import Actor, FileState, Project, Stored
from app.storage.base import Storage

SYSTEM = Actor(kind="system", id="collect")
Looked = Callable[[int, int], None]
"""Told how many projects and how many keys of bytes a round has looked at."""
_NONE = frozenset[ULID | None]()

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Collected:
    """What one round removed: deleted files, keys of dead attempts, and the bytes of both."""

    purged: int = 0
    orphans: int = 0
    size: int = 0


class Collector:
    """Purges deleted files after their grace, and sweeps blobs that no event names."""

    def __init__(self, storage: Storage, curator: Curator, *, grace: timedelta) -> None:
        self._storage = storage
        self._curator = curator
        self._grace = grace
        self._journal = Journal(storage)

    async def run(self, *, trial: bool = False, looked: Looked | None = None) -> Collected:
        """One round over the whole storage; a ``trial`` counts and removes nothing."""
        collected, projects, keys = Collected(), 0, 0
        looked = looked or (lambda projects, keys: None)
        async for chains in self._journal.chains():
            found = await self._journal.read(chains)
            if found.project is not None and not found.broken:
                await self._purge(found.project, collected, trial)
            projects += 1
            looked(projects, keys)
        async for _ in self._swept(collected, trial):
            keys += 1
            looked(projects, keys)
        return collected

    async def _purge(self, project: Project, collected: Collected, trial: bool) -> None:
        now = datetime.now(UTC)
        for file in project.files:
            if file.state is FileState.DELETED and now - file.changed >= self._grace:
                if not trial:
                    # The event comes first: from then on nothing restores the file.
                    purged = await self._curator.purge(file, SYSTEM)
                    if purged.state is not FileState.PURGED:
                        continue
                    await blobs.remove(self._storage, file.blob)
                collected.purged += 1
                collected.size += file.size

    async def _swept(self, collected: Collected, trial: bool) -> AsyncIterator[Stored]:
        """Sweep attempts that no event names, begun too long ago for one; all that is looked at."""
        name = ""
        live: frozenset[ULID | None] | None = _NONE
        async for stored in self._storage.scan(blobs.ROOT):
            yield stored
            attempt = blobs.attempt(stored.key)
            if attempt is None or not _is_dead(attempt):
                continue  # also what somebody put there by hand
            project = stored.key.split("/")[1]
            if project != name:
                name, live = project, await self._attempts(project)
            if live is not None and attempt not in live:
                if not trial:
                    await self._storage.delete(stored.key)
                collected.orphans += 1
                collected.size += stored.size

    async def _attempts(self, name: str) -> frozenset[ULID | None] | None:
        """The attempts that the events of a project name; None: that cannot be told."""
        found = await self._journal.whole(name)
        if found is None:
            return _NONE
        if found.project is None or found.broken:
            logger.error("%s has a broken journal; nothing of it is swept", name)
            return None
        files = (file for file in found.project.files if file.state is not FileState.PURGED)
        return frozenset(blobs.attempt(file.blob) for file in files)


def _is_dead(attempt: ULID) -> bool:
    """Whether it began so long ago that it must have ended."""
    return datetime.now(UTC) - attempt.datetime >= pending.LIFE
