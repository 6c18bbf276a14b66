"""Index: the heart. The only place that holds Storage and Cache both.

What it answers are values; the doors make responses of them. It is made from one storage
and one cache and nothing global, so several may live side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache, Query
from app.index import blobs
from app.index.adopt import Adoption
from app.index.adopting_take import Taker
from app.index.check import Check
from app.index.collect import Collected, Collector
from app.index.commit import Commits
from app.index.follow import Follower
from app.index.known import Known
from app.index.locations import Locations
from app.index.manage import Curator
from app.index.publish import Published, Publisher
from app.index.reconcile import Reconciler
from app.index.reindex import Progress, Reindex, Report
from app.index.serials import Notes
from app.models import Actor, Change, File, Project, ProjectSummary, Status
from app.storage.base import Storage, read
from app.upload.accept import Inspector
from app.upload.distribution import Distribution


class Index:
    """Projects and files: read, published, managed, rebuilt."""

    def __init__(
        self,
        storage: Storage,
        cache: Cache,
        *,
        redirect: bool = True,
        url_expires: timedelta = timedelta(seconds=300),
        delete_grace: timedelta = timedelta(hours=24),
        refresh: timedelta = timedelta(seconds=0.5),
        stale: timedelta = timedelta(minutes=10),
        memory: int = 64 * 2**20,
        legacy_metadata: bool = False,
    ) -> None:
        self._storage = storage
        self._cache = cache
        self._locations = Locations(storage, expires_in=url_expires) if redirect else None
        self.notes = Notes(storage, cache)
        self.follower = Follower(cache, every=refresh)
        self._known = Known(cache, self.follower, memory=memory, stale=stale)
        commits = Commits(storage, cache, self._told)
        self._commits = commits
        self._publisher = Publisher(storage, cache, commits, legacy_metadata=legacy_metadata)
        self._curator = Curator(storage, commits)
        self._reconciler = Reconciler(storage, cache, commits)
        self._collector = Collector(storage, self._curator, grace=delete_grace)
        self._reindex: asyncio.Task[Progress] | None = None
        self._progress: Progress | None = None

    # Reading

    async def project(self, name: NormalizedName) -> Project:
        """A project with its files. Raises errors.ProjectNotFound, errors.IndexNotReady."""
        project = await self._known.project(name)
        if project is None or not project.exists:
            await self._require_built()
            raise errors.ProjectNotFound(name)
        return project

    async def present(self, name: NormalizedName) -> Project:
        """The same as of now, whatever is at hand: for whoever is about to change it."""
        self._known.drop(name)
        return await self.project(name)

    async def generation(self, name: NormalizedName) -> str | None:
        """The generation that grants are bound to; None where the name is free."""
        project = await self._known.outline(name)
        return None if project is None or project.deleted else project.generation

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        """The projects there are, by name. Raises errors.IndexNotReady."""
        await self._require_built()
        return await self._cache.projects(after=after, limit=limit)

    async def search(
        self, query: Query, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        """The projects that match, by name. Raises errors.IndexNotReady."""
        await self._require_built()
        return await self._cache.search(query, after=after, limit=limit)

    async def file(self, name: NormalizedName, filename: str) -> File:
        """A published file, looked up through its project.

        Raises errors.FileNotFound, errors.Quarantined, errors.IndexNotReady.
        """
        project = await self._known.outline(name, filename)
        file = project.find(filename) if project else None
        if project is None or file is None:
            await self._require_built()
            raise errors.FileNotFound(name, filename)
        if project.status is Status.QUARANTINED:
            raise errors.Quarantined(name)
        return file

    def content(
        self, file: File, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes of a file, in chunks. Raises errors.KeyNotFound before the first."""
        return self._storage.get(file.blob, start=start, end=end)

    async def location(self, file: File) -> str | None:
        """Where a client may fetch the file without us; None: it must be streamed."""
        if self._locations is None:
            return None
        return await self._locations.of(file.blob, file.filename)

    async def metadata(self, file: File) -> bytes:
        """The core metadata, byte for byte, whether or not it is offered to clients."""
        if file.metadata_sha256 is None:
            raise errors.FileNotFound(file.project, f"{file.filename}.metadata")
        return await read(self._storage, blobs.metadata_key(file.blob), limit=blobs.METADATA_LIMIT)

    async def shown_serial(self) -> int:
        """The serial of the root page."""
        return await self._cache.shown_serial()

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        """What changed after a serial."""
        return await self._cache.changes(after, limit)

    async def ready(self) -> bool:
        """Whether absence from the cache proves anything."""
        return await self._cache.built()

    # Writing

    async def publish(self, distribution: Distribution, actor: Actor) -> Published:
        """Publish what passed every check; see Publisher.publish."""
        await self._require_built()
        return await self._publisher.publish(distribution, actor)

    async def yank(self, files: Sequence[File], reason: str | None, actor: Actor) -> list[File]:
        """Yank files (PEP 592), one or those of a release."""
        return [await self._curator.yank(file, reason, actor) for file in files]

    async def unyank(self, files: Sequence[File], actor: Actor) -> list[File]:
        """Take yanks back."""
        return [await self._curator.unyank(file, actor) for file in files]

    async def delete(self, file: File, actor: Actor) -> File:
        """Delete a file; its name stays taken."""
        return await self._curator.delete(file, actor)

    async def restore(self, name: NormalizedName, filename: str, actor: Actor) -> File:
        """Bring a deleted file back.

        Raises errors.FileNotFound, and errors.FilenameUsed once its bytes are purged.
        """
        project = await self._cache.outline(name, filename)
        if project is None or not project.exists:  # also what a former generation held
            await self._require_built()
            raise errors.FileNotFound(name, filename)
        return await self._curator.restore(project.files[0], actor)

    async def set_status(
        self, name: NormalizedName, status: Status, reason: str | None, actor: Actor
    ) -> Project:
        """Set a project's status marker (PEP 792)."""
        await self._curator.set_status(name, status, reason, actor)
        return await self.project(name)

    async def delete_project(self, name: NormalizedName, actor: Actor) -> None:
        """Delete a project and all that is in it; the name may be claimed anew."""
        await self.present(name)
        await self._curator.delete_project(name, actor)

    async def restore_project(self, name: NormalizedName, actor: Actor) -> Project:
        """Bring a deleted project back."""
        await self._curator.restore_project(name, actor)
        return await self.project(name)

    # Keeping

    def reindex(self, report: Report | None = None) -> asyncio.Task[Progress]:
        """Begin a reindex, or join the one that runs in this process."""
        if self._reindex is None or self._reindex.done():
            run = Reindex(self._storage, self._cache, report)
            self._progress = run.progress
            self._reindex = asyncio.create_task(run.run())
        return self._reindex

    @property
    def reindexing(self) -> Progress | None:
        """How far the latest reindex of this process has come."""
        return self._progress

    async def adopt(
        self, inspector: Inspector, *, spool: Path, operator: Actor, prefix: str = ""
    ) -> Adoption:
        """An adoption of what PyPICloud left; a cache that was never built is built first."""
        if not await self._cache.built():
            await self.reindex()
        taker = Taker(
            self._storage, self._cache, self._commits, inspector, spool=spool, operator=operator
        )
        return Adoption(self._storage, taker, prefix=prefix)

    def check(self, *, deep: bool = False) -> Check:
        """A comparison of cache, journal and bytes."""
        return Check(self._storage, self._cache, deep=deep)

    async def reconcile(self) -> int:
        """Finish what a crash or an outage left half done; how many writes that were."""
        return await self._reconciler.run()

    async def collect(self) -> Collected:
        """Remove the bytes of files deleted long ago, and of dead attempts."""
        return await self._collector.run()

    @property
    def serves_stale(self) -> bool:
        """Whether known projects are served though the cache cannot be asked."""
        return self._known.serves_stale

    def _told(self, name: NormalizedName) -> None:
        """This process changed a project."""
        self._known.drop(name)
        self.notes.note(name)

    async def _require_built(self) -> None:
        if not await self._known.built():
            raise errors.IndexNotReady
