"""The upload path: marker, blob, claim, event, cache, marker away."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from packaging.utils import NormalizedName

from app import errors, events
from app.cache.base import Cache
from app.events import Event, Publication
from app.index import blobs, claims, legacy, pending
from app.index.commit import Commits
from app.index.journal import Journal
from app.models import Actor, File, FileState, Kind, Project
from app.storage.base import Storage
from app.upload.distribution import Distribution


@dataclass(frozen=True, slots=True)
class Published:
    """What an upload came to: the file, whether it is new, and whether its project is.

    ``former`` is the generation that the project's beginning has ended for good.
    """

    file: File
    new: bool
    claimed: bool = False
    former: str | None = None


Filled = Callable[[NormalizedName, str], Awaitable[bool]]
"""Whether a generation of a project is known to have a file."""


class Publisher:
    """Publishes distributions that passed every check.

    ``legacy_metadata``: with the bytes, the storage is given what PyPICloud would read there.
    """

    def __init__(
        self,
        storage: Storage,
        cache: Cache,
        commits: Commits,
        filled: Filled,
        *,
        legacy_metadata: bool = False,
    ) -> None:
        self._filled = filled
        self._storage = storage
        self._cache = cache
        self._commits = commits
        self._journal = Journal(storage)
        self._legacy_metadata = legacy_metadata

    async def publish(self, distribution: Distribution, actor: Actor) -> Published:
        """Publish a distribution; the same bytes again change nothing.

        Raises errors.FileExists, errors.FilenameUsed, errors.ProjectClosed,
        errors.InvalidUpload (a second sdist of a release) and errors.Unavailable.
        """
        project, records = await asyncio.gather(
            self._journal.project(distribution.project),
            self._journal.records(distribution.project, distribution.filename),
        )
        if records:
            # Its name may have been claimed after it was looked at, and the file published.
            project = await self._journal.project(distribution.project)
        if project is not None:
            claims.refuse_closed(project)
        if records:
            return await self._repeated(distribution, project, records)
        await self._refuse_second_sdist(distribution)
        return await self._first(distribution, project, actor)

    async def _refuse_second_sdist(self, distribution: Distribution) -> None:
        if distribution.kind is not Kind.SDIST:
            return
        project = await self._cache.project(distribution.project)
        release = project.release(distribution.version) if project else ()
        if any(file.kind is Kind.SDIST for file in release):
            raise errors.InvalidUpload("Only one sdist may be uploaded per release.")

    async def _repeated(
        self, distribution: Distribution, project: Project | None, records: list[bytes]
    ) -> Published:
        """The filename has a history: the same bytes succeed, all else is refused."""
        file = events.fold_file(records)
        gone = file.state in (FileState.DELETED, FileState.PURGED)
        if gone or project is None or project.deleted or file.generation != project.generation:
            raise errors.FilenameUsed
        if file.hashes.sha256 != distribution.hashes.sha256:
            raise errors.FileExists(file.filename, file.hashes.blake2b_256)
        await self._journal.confirm(records[0])
        await self._commits.catch_up(records)  # the first attempt may have ended too early
        return Published(file, new=False)

    async def _first(
        self, distribution: Distribution, project: Project | None, actor: Actor
    ) -> Published:
        blob = blobs.new_key(distribution.project, distribution.filename)
        marker = pending.marker(distribution.project, distribution.filename, sequence=1, blob=blob)
        await pending.put(self._storage, marker)
        facts = legacy.metadata(distribution, actor) if self._legacy_metadata else None
        former = project.generation if project is not None and project.deleted else None
        claimed = False
        try:
            await blobs.store(self._storage, blob, distribution, facts)
            if project is None or project.deleted:
                project, claimed = await claims.claim(
                    self._commits, distribution.project, distribution.display_name, actor
                )
            # Whoever claimed it may have died before any file: what waits is still to be bound.
            claimed = claimed or not await self._begun(project)
            if not marker.may_commit(datetime.now(UTC)):
                raise errors.StorageUnavailable("The upload took too long; send it again.")
        except errors.PypicloudError:
            await self._abandon(marker, blob)
            raise
        event = _publication(distribution, actor, blob, project.generation)
        # Should this fail, nobody knows whether it happened: marker and blob stay for the
        # reconciler, which reads what stands there.
        record = await self._journal.append(event)
        if record is None:
            await self._abandon(marker, blob)
            return await self.publish(distribution, actor)
        await self._commits.tell([record], event)
        await self._commits.settle(marker)
        return Published(events.fold_file([record]), new=True, claimed=claimed, former=former)

    async def _begun(self, project: Project) -> bool:
        """Whether the project has a file; the journal is asked where nobody here knows of one."""
        if await self._filled(project.name, project.generation):
            return True
        found = await self._journal.whole(project.name)
        files = found.project.files if found is not None and found.project is not None else ()
        return any(file.generation == project.generation for file in files)

    async def _abandon(self, marker: pending.Marker, blob: str) -> None:
        await blobs.remove_if_possible(self._storage, blob)
        await self._commits.settle(marker)


def _publication(distribution: Distribution, actor: Actor, blob: str, generation: str) -> Event:
    return Event(
        v=events.VERSION,
        seq=1,
        type="publish",
        time=datetime.now(UTC),
        actor=actor,
        project=distribution.project,
        generation=generation,
        filename=distribution.filename,
        publication=Publication(
            blob=blob,
            version=distribution.version,
            kind=distribution.kind,
            python_version=distribution.python_version,
            size=distribution.size,
            hashes=distribution.hashes,
            metadata_sha256=hashlib.sha256(distribution.metadata).hexdigest(),
            metadata_static=distribution.metadata_static,
            provenance_sha256=_digest(distribution.provenance),
            requires_python=distribution.requires_python,
            summary=distribution.summary,
            comment=distribution.comment,
            core=distribution.core,
        ),
    )


def _digest(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
