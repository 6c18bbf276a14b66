"""Finish or sweep away the writes that a crash or an outage left half done."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from app import errors, events
from app.cache.base import Cache
from app.index import blobs, pending
from app.index.commit import Commits
from app.index.journal import Journal
from app.storage.base import Storage

logger = logging.getLogger(__name__)


class Reconciler:
    """Looks at every marker of a write under way."""

    def __init__(self, storage: Storage, cache: Cache, commits: Commits) -> None:
        self._storage = storage
        self._cache = cache
        self._commits = commits
        self._journal = Journal(storage)

    async def run(self) -> int:
        """One round; how many writes were finished or swept away.

        Nothing is brought into a cache that was never completely built: the reindex that
        has to come does that, and readers would see half a project.
        """
        if not await self._cache.built():
            return 0
        ended = 0
        async for marker in pending.markers(self._storage):
            try:
                ended += await self._look(marker)
            except errors.JournalBroken as why:
                logger.error("%s/%s cannot be reconciled: %s", marker.project, marker.filename, why)
        return ended

    async def _look(self, marker: pending.Marker) -> bool:
        records = await self._journal.records(marker.project, marker.filename)
        if records:
            await self._commits.tell(records, events.decode(records[-1]))
        settled = len(records) >= marker.sequence
        if not settled and not marker.is_dead(datetime.now(UTC)):
            return False
        if marker.blob is not None and not _refers(records, marker.blob):
            await blobs.remove(self._storage, marker.blob)
        await self._commits.settle(marker)
        return True


def _refers(records: list[bytes], blob: str) -> bool:
    """Whether a chain is about this blob; a file's first event names the only one it has."""
    return bool(records) and events.fold_file(records).blob == blob
