"""Index: the heart. The only place that holds Storage and Cache both.

What it answers are values; the doors make responses of them. It is made from one storage
and one cache and nothing global, so several may live side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache, Query
from app.index import blobs
from app.index.adopt import Adoption
from app.index.adopting_glance import unadopted
from app.index.adopting_take import Taker
from app.index.check import Check
from app.index.collect import Collected, Collector, Looked
from app.index.commit import Commits
from app.index.compare import SYSTEM
from app.index.flight import Flight, Wanted
from app.index.follow import Follower
from app.index.history import History
from app.index.known import Known
from app.index.lease import Pace
from app.index.listed import Listed, Listing
from app.index.locations import Locations
from app.index.manage import Curator
from app.index.notified import Notified
from app.index.progress import Progress, Report
from app.index.publish import Published, Publisher
from app.index.reconcile import Reconciler
from app.index.serials import Notes
from app.models import Actor, Change, File, Project, ProjectSummary, Status
from app.storage.base import Storage, read
from app.storage.place import Place
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
        pace: Pace = Pace(),  # noqa: B008  # frozen
        place: Place | None = None,
    ) -> None:
        self._storage = storage
        self._cache = cache
        self.locations = Locations(storage, expires_in=url_expires) if redirect else None
        self.notes = Notes(storage, cache)
        self.history = History(cache)
        self.follower = Follower(cache, every=refresh)
        self._known = Known(cache, self.follower, memory=memory, stale=stale)
        self._listed = Listed(cache, self._known, self.follower)
        self.stale_limit = stale
        commits = Commits(storage, cache, self._told)
        self._commits = commits
        self._publisher = Publisher(
            storage, cache, commits, self._known.filled, legacy_metadata=legacy_metadata
        )
        self._curator = Curator(storage, commits)
        self._reconciler = Reconciler(storage, cache, commits)
        self._collector = Collector(storage, self._curator, grace=delete_grace)
        self._flight = Flight(storage, cache, pace)
        self.notified = Notified(storage, cache, self._told, place=place)

    # Reading

    async def project(self, name: NormalizedName) -> Project:
        """A project with its files. Raises errors.ProjectNotFound, errors.IndexNotReady."""
        return _existing(name, await self._known.project(name))

    async def present(self, name: NormalizedName) -> Project:
        """The same as of now, whatever is at hand: for whoever is about to change it."""
        return _existing(name, await self._known.present(name))

    async def generation(self, name: NormalizedName) -> str | None:
        """The generation that grants are bound to; None where the name is free.

        Raises errors.IndexNotReady where that cannot be known.
        """
        project = await self._known.outline(name)
        return None if project is None or project.deleted else project.generation

    async def owned(self, name: NormalizedName) -> bool:
        """Whether a name is ours, or ever was. Raises errors.IndexNotReady."""
        return await self._known.outline(name) is not None

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        """The projects there are, by name. Raises errors.IndexNotReady."""
        return await self._known.complete(partial(self._cache.projects, after=after, limit=limit))

    async def listing(self) -> Listing:
        """All of them, with the serial of the root page; known ones while the cache is down.

        Raises errors.IndexNotReady.
        """
        return await self._listed.now()

    async def search(
        self, query: Query, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        """The projects that match, by name. Raises errors.IndexNotReady."""
        return await self._listed.search(query, after, limit)

    async def file(self, name: NormalizedName, filename: str) -> File:
        """A published file, looked up through its project.

        Raises errors.FileNotFound, errors.Quarantined, errors.IndexNotReady.
        """
        project = await self._known.outline(name, filename)
        file = project.find(filename) if project else None
        if project is None or file is None:
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
        if self.locations is None:
            return None
        return await self.locations.of(file.blob, file.filename)

    def location_until(self, file: File) -> float:
        """Until when (time.monotonic) the latest answer of ``location`` may be given again."""
        return 0.0 if self.locations is None else self.locations.until(file.blob)

    async def metadata(self, file: File) -> bytes:
        """The core metadata, byte for byte, whether or not it is offered to clients."""
        if file.metadata_sha256 is None:
            raise errors.FileNotFound(file.project, f"{file.filename}.metadata")
        return await read(self._storage, blobs.metadata_key(file.blob), limit=blobs.METADATA_LIMIT)

    async def provenance(self, file: File) -> bytes:
        """The provenance, byte for byte (PEP 740); errors.FileNotFound where there is none."""
        if file.provenance_sha256 is None:
            raise errors.FileNotFound(file.project, f"{file.filename}.provenance")
        key = blobs.provenance_key(file.blob)
        return await read(self._storage, key, limit=blobs.METADATA_LIMIT)

    async def shown_serial(self) -> int:
        """The serial of the root page."""
        return await self._cache.shown_serial()

    async def ready(self) -> bool:
        """Whether absence from the cache proves anything."""
        return await self._cache.built() and not self.follower.lost

    # Writing

    async def publish(self, distribution: Distribution, actor: Actor) -> Published:
        """Publish what passed every check; see Publisher.publish."""
        await self._known.require_complete()
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
        project = await self._known.outline_now(name, filename)
        if project is None or not project.exists:  # also what a former generation held
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

    def reindex(
        self, report: Report | None = None, *, by: Actor = SYSTEM, wanted: Wanted = "run"
    ) -> asyncio.Task[Progress]:
        """Bring the cache up to the journal, or watch the replica that does so, to its end.

        ``report`` is told how far it has come. Where that replica dies, this one goes on. The
        task raises errors.Unavailable; its result is IDLE where nothing ``wanted`` was to do.
        """
        return self._flight.want(wanted, by, report)

    async def reindexing(self) -> Progress:
        """How far the latest has come, on whatever replica; IDLE: none ran. errors.Unavailable."""
        return await self._flight.latest()

    @property
    def reindexed(self) -> Progress:
        """The latest reindex that this process did or watched."""
        return self._flight.progress

    async def stop(self) -> None:
        """End a reindex of this process; another goes on with it."""
        await self._flight.stop()

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

    async def unadopted(self) -> str | None:
        """A key of PyPICloud's that waits for its adoption; only the first keys are looked at."""
        return await unadopted(self._storage)

    def check(self, *, deep: bool = False) -> Check:
        """A comparison of cache, journal and bytes."""
        return Check(self._storage, self._cache, deep=deep)

    async def reconcile(self) -> int:
        """Finish what a crash or an outage left half done; how many writes that were."""
        return await self._reconciler.run()

    async def collect(self, *, trial: bool = False, looked: Looked | None = None) -> Collected:
        """Remove the bytes of files deleted long ago, and of dead attempts, or count them."""
        return await self._collector.run(trial=trial, looked=looked)

    async def record(self, change: Change) -> None:
        """Have every process notice a change of access, which stands already."""
        self.follower.announce_access()
        await self._cache.record(change)

    @property
    def serves_stale(self) -> bool:
        """Whether known projects are served though the cache cannot be asked."""
        return self._known.serves_stale

    @property
    def age(self) -> timedelta | None:
        """How long ago the changes were last read; None where they never were."""
        return self.follower.age

    def _told(self, name: NormalizedName, serial: int = 0) -> None:
        """This process changed a project; ``serial`` 0: by something that tells none."""
        self._known.drop(name)
        self.follower.wrote(name, serial)
        self.notes.note(name)


def _existing(name: NormalizedName, project: Project | None) -> Project:
    if project is None or not project.exists:
        raise errors.ProjectNotFound(name)
    return project
