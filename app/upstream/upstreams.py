"""Upstreams: what the doors ask. Only names that are certainly not ours ever go out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.utils import NormalizedName

from app import errors
from app.index import Index
from app.index.journal import Journal
from app.models import File, Project, Status
from app.names import normalize
from app.storage.base import Storage
from app.upstream.client import Client
from app.upstream.entries import Entry, Record
from app.upstream.fetching import Fetch, Fetches
from app.upstream.kept import Shelf, as_file
from app.upstream.listings import AT_HAND, Listings, Told
from app.upstream.metadata import Metadata
from app.upstream.publishers import Verify
from app.upstream.relayed import Relayed, Source, decided, relayed, said
from app.upstream.rules import Rules
from app.upstream.turns import Turns
from app.upstream.wanted import Wanted


class Upstreams:
    """The indexes to fall back on, in their order."""

    def __init__(
        self,
        clients: Sequence[Client],
        rules: Rules,
        index: Index,
        storage: Storage,
        *,
        spool: Path,
        largest: int,
        verify: Verify,
        told: Told,
        show_always: bool = False,
        offline: bool = False,
    ) -> None:
        self.clients, self.rules, self.show_always = tuple(clients), rules, show_always
        self.offline = offline
        self._index, self._journal = index, Journal(storage)
        turns = Turns(storage)
        self._listings = Listings(
            storage,
            turns,
            free=self.require_free,
            needed=self._publishers_matter,
            verify=verify,
            told=told,
        )
        self.shelf = Shelf(storage)
        self._fetches = Fetches(self.shelf, turns, spool=spool, limit=largest)
        self._metadata = Metadata(storage, self.shelf, self._fetches)
        self._views: dict[NormalizedName, Relayed] = {}

    async def stop(self) -> None:
        """End what is under way."""
        await self._fetches.stop()
        await self._listings.stop()
        for client in self.clients:
            client.close()

    def serving(self, name: NormalizedName) -> bool:
        """Whether any upstream may be asked for a name, if it is not ours."""
        if self.rules.reserves(name):
            return False
        return any(client.options.serves(name) for client in self.clients)

    def keeps_all(self, name: NormalizedName) -> bool:
        """Whether every upstream of a name has its files kept here, which is a right of its own."""
        return all(
            client.options.policy != "redirect"
            for client in self.clients
            if client.options.serves(name)
        )

    def shows_beside(self, project: Project) -> bool:
        """Whether upstreams' files stand beside those of a project of ours."""
        closed = project.status is Status.QUARANTINED
        return not closed and self.rules.shares(project.name) and self.serving(project.name)

    async def names(self) -> frozenset[NormalizedName]:
        """All projects that upstreams list and may serve, ours among them.

        Raises errors.Unreachable.
        """
        found: set[NormalizedName] = set()
        for client in self.clients:
            for name in await self._listings.names(client):
                with suppress(errors.InvalidName):
                    found.add(normalize(name))
        return frozenset(name for name in found if self.serving(name))

    def records(self) -> AsyncGenerator[Record]:
        """Every page of an upstream that is kept here."""
        return self._listings.records()

    async def take(self, record: Record) -> None:
        """Keep a page that another service was given, unless a newer one is known."""
        await self._listings.take(record)

    async def project(self, name: NormalizedName, *, newest: bool = False) -> Relayed:
        """What the first upstream that has the project lists; what all do, for some names.

        What was said a while ago is good enough, unless it is to be ``newest``.

        Raises errors.ProjectNotFound where all say that there is none, errors.Unreachable
        where one cannot be asked before that is known, and what ``owned`` raises.
        """
        await self.require_free(name, deep=False)
        sources: list[Source] = []
        for client in self.clients:
            if client.options.serves(name):
                record = await self._listings.get(client, name, newest=newest)
                if not record.absent:
                    sources.append(Source(client=client, record=record))
                    if not self.rules.merges(name):
                        break
        if not sources:
            raise errors.ProjectNotFound(name)
        return await self._relayed(name, tuple(sources))

    async def absent_until(self, name: NormalizedName) -> datetime:
        """Until when nobody need be asked again for a project that there is not."""
        asked = [
            await self._listings.get(client, name)
            for client in self.clients
            if client.options.serves(name)
        ]
        ends = [one.asked + timedelta(seconds=one.fresh_for) for one in asked]
        return min(ends, default=datetime.now(UTC))

    def entry(self, relayed: Relayed, filename: str) -> Wanted:
        """A file that may be handed out.

        Raises errors.FileNotFound, errors.Quarantined, errors.Withheld.
        """
        name = relayed.name
        found = relayed.find(filename)
        if found is None:
            raise errors.FileNotFound(name, filename)
        closed = (one.closed for one in relayed.sources if one.client is found.client)
        if relayed.sources[0].closed or any(closed):
            raise errors.Quarantined(name)
        refusal = decided(self.rules, found, datetime.now(UTC))
        if refusal is not None:
            found.client.counts["refused"] += 1
            raise refusal.error(filename)
        return found

    async def kept(self, wanted: Wanted) -> File | None:
        """The file as it is kept here.

        Raises errors.Unreachable where its page now means other bytes.
        """
        entry = wanted.entry
        found = await self.shelf.find(wanted.name, entry.filename)
        if found is None:
            return None
        if entry.sha256 not in (None, found.sha256):
            raise errors.Unreachable(
                f"Upstream {wanted.client.name!r} lists other bytes for {entry.filename!r} "
                "than it once did, which are kept here."
            )
        return as_file(wanted.name, entry, found)

    async def fetch(self, wanted: Wanted) -> Fetch | File:
        """The file on its way here; or kept, by another replica. Raises errors.Unreachable."""
        found = await self._fetches.join(wanted)
        return found if isinstance(found, Fetch) else as_file(wanted.name, wanted.entry, found)

    async def whole(self, wanted: Wanted) -> File:
        """The file once all of it is here."""
        kept = await self._fetches.whole(wanted)
        return as_file(wanted.name, wanted.entry, kept)

    async def metadata(self, wanted: Wanted) -> bytes:
        """The core metadata of a file. Raises errors.FileNotFound, errors.Unreachable."""
        return await self._metadata.of(wanted.client, wanted.name, wanted.entry)

    # Deciding

    def _publishers_matter(self, client: Client, record: Record, entry: Entry) -> bool:
        return self.rules.publishers(record.name, entry, own=client.rules)

    async def _relayed(self, name: NormalizedName, sources: tuple[Source, ...]) -> Relayed:
        now = datetime.now(UTC)
        view = self._views.get(name)
        if view is not None and view.said == said(sources) and now < view.until:
            return view
        kept = await self.shelf.filenames(name) if self.offline else None
        view = self._views[name] = relayed(name, sources, self.rules, now, kept=kept)
        while len(self._views) > AT_HAND:
            del self._views[next(iter(self._views))]
        return view

    async def require_free(self, name: NormalizedName, *, deep: bool = True) -> None:
        """Return where upstreams may have this name.

        Raises errors.ProjectNotFound for a name that is ours, and errors.IndexNotReady where
        that is not known.
        """
        if self.rules.reserves(name):
            raise errors.ProjectNotFound(name)
        if self.rules.shares(name):
            return
        ours = await self._index.owned(name)
        if not ours and (not deep or not await self._journal.holds(name, None)):
            return
        if not ours:  # the cache does not know yet what the storage does
            raise errors.IndexNotReady
        if self.rules.releases(name) and await self._index.generation(name) is None:
            return
        raise errors.ProjectNotFound(name)
