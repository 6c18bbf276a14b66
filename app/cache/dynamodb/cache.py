"""The cache in a table of DynamoDB; what is written there, and when, is ``writer``'s."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from packaging.utils import NormalizedName

from app import errors
from app.cache import certainty, newest
from app.cache.base import NOTHING, Query
from app.cache.builds import Builds
from app.cache.dynamodb import reading, records, sweeping, writes
from app.cache.dynamodb.records import META, UNKNOWN, Known, Meta
from app.cache.dynamodb.writer import Writer
from app.cache.match import matching
from app.dynamodb.table import Pace, Table, both
from app.models import Change, File, Project, ProjectSummary

logger = logging.getLogger(__name__)


class DynamoDBCache:
    """A Cache in one table. What was begun is finished, whoever waits.

    The prefix of its items is remembered. What is found with an old one was true until the
    cache was cleared; what is not found is only answered once the prefix was looked up again.
    """

    indexed = False

    def __init__(self, table: Table) -> None:
        self._table = table
        self._writer = Writer(table, self._told)
        self._meta: Meta | None = None
        self._tickets = count(1)
        self._latest = 0
        self._caught = 0
        self._builds: Builds[tuple[int, int]] = Builds()
        self._sweeping: set[asyncio.Task[None]] = set()
        self.swept = asyncio.Event()
        """Set where there may be something to sweep."""

    async def project(self, name: NormalizedName) -> Project | None:
        pace = Pace(self._table.timeout)
        while True:
            prefix = await self._prefix()
            known, files = await reading.project(self._table, prefix, name)
            if known is not None and files is not None:
                return _project(known, tuple(kept.value for kept in files.values()))
            if not await self._moved(prefix) and known is None:
                return None
            if not await pace.pause():
                raise errors.CacheUnavailable(f"DynamoDB: {name!r} is written all the time.")

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        while True:
            prefix = await self._prefix()
            known, files = await both(
                reading.known(self._table, prefix, name),
                reading.versions(self._table, prefix, name, filename),
            )
            if known is not None:
                file = files.get(known.incarnation)
                return _project(known, (file,) if file else ())
            if not await self._moved(prefix):
                return None

    async def certain(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        return await certainty.certain(self, name, filename)

    async def file(self, name: NormalizedName, filename: str) -> File | None:
        found = await self.outline(name, filename)
        return found.files[0] if found is not None and found.files else None

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        return await self.search(Query(), after=after, limit=limit)

    async def search(
        self, query: Query, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        matches = matching(query)

        def wanted(known: Known) -> bool:
            line = _line(known)
            return line is not None and matches(line)

        if limit == 0:
            return []
        while True:
            prefix = await self._prefix()
            found = await reading.listed(
                self._table, prefix, after=after, limit=limit, wanted=wanted
            )
            if not await self._moved(prefix):
                return [line for known in found if (line := _line(known)) is not None]

    async def save(self, file: File, change: Change) -> int:
        return await self._writer.do(
            partial(writes.save, file=file, change=change), name=file.project
        )

    async def save_project(self, project: Project, change: Change) -> int:
        return await self._writer.do(
            partial(writes.save_project, project=project, change=change), name=project.name
        )

    async def restore(
        self, projects: Sequence[Project], change: Change, *, untrue: AbstractSet[str] = NOTHING
    ) -> int:
        restore = partial(writes.restore, change=change, untrue=untrue)
        every = [(partial(restore, project=project), project.name) for project in projects]
        return sum(await self._writer.do_all(every))

    async def forget(self, name: NormalizedName, filename: str | None, change: Change) -> int:
        if filename is not None and not reading.possible(filename):
            known = await self.outline(name)
            return 0 if known is None else known.serial
        return await self._writer.do(
            partial(writes.forget, name=name, filename=filename, change=change), name=name
        )

    async def record(self, change: Change) -> int:
        return await self._writer.do(partial(writes.record, change=change))

    async def serial(self) -> int:
        return (await self._looked_up()).serial

    async def shown_serial(self) -> int:
        while True:
            meta = await self._looked_up()
            if meta.mine.shown != UNKNOWN:
                return meta.mine.shown
            every = await reading.listed(
                self._table, meta.prefix, after="", limit=None, wanted=lambda known: True
            )
            if not await self._moved(meta.prefix):
                return max((known.serial for known in every), default=0)

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        meta = await self._looked_up()
        after = max(after, meta.mine.since)
        return await reading.changes(self._table, after, limit, meta.pruned) if limit else []

    async def prune(self, below: int, change: Change) -> None:
        meta = await self._looked_up()
        sinces = [facts.since for facts in meta.layouts.values()]
        async for last, keys in sweeping.old_changes(self._table, sinces, below):
            await self._writer.do(partial(writes.prune, change=replace(change, serial=last)))
            await self._table.write_many(deletes=keys)

    async def clear(self, floor: int = 0) -> None:
        self._builds.begin(await self._writer.do(partial(writes.clear, floor=floor), alone=True))

    async def built(self) -> bool:
        meta = await self._looked_up()
        self._builds.begin(meta.era)
        return meta.mine.built

    async def set_built(self) -> None:
        work = partial(writes.set_built, caught=self._caught, era=self._builds.mark())
        await self._writer.do(work)

    async def enter(self) -> None:
        """Say that this version is in use; note what a build from now on cannot have missed."""
        self._caught = await self._writer.do(writes.enter)

    async def keep(self) -> None:
        """The same, once an hour or so."""
        await self._writer.do(writes.keep)

    async def sweep(self) -> None:
        """Remove what nobody reads any more, unless somebody else is about it."""
        due = await self._writer.do(partial(writes.claim, seconds=sweeping.LONGEST))
        if due:
            for prefix in due:
                await sweeping.sweep(self._table, prefix)
            shown = await self._writer.do(partial(writes.bury, prefixes=due))
            await sweeping.drop_changes(self._table, shown)

    async def settled(self) -> None:
        """Wait for what goes on although nobody waits for it any more."""
        await self._writer.settled()
        for task in self._sweeping:
            task.cancel()
        await asyncio.gather(*self._sweeping, return_exceptions=True)

    async def _prefix(self) -> str:
        meta = self._meta or await self._looked_up()
        return meta.prefix

    async def _moved(self, prefix: str) -> bool:
        """Whether the items are to be found at another prefix now."""
        return (await self._looked_up()).prefix != prefix

    async def _looked_up(self) -> Meta:
        ticket = next(self._tickets)
        found = await self._table.get(META)
        meta = Meta() if found is None else records.meta(found)
        self._note(ticket, meta)
        return meta

    def _note(self, ticket: int, meta: Meta) -> None:
        """Remember it, unless what was asked for later is known already."""
        if ticket > self._latest:
            self._latest, self._meta = ticket, meta

    def _told(self, meta: Meta, litter: Sequence[tuple[NormalizedName, str]]) -> None:
        self._note(next(self._tickets), meta)
        if meta.dead:
            self.swept.set()
        for name, incarnation in litter:
            self._aside(sweeping.drop_files(self._table, meta.prefix, name, incarnation))

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_tried(work))
        self._sweeping.add(task)
        task.add_done_callback(self._sweeping.discard)


async def _tried(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except errors.CacheUnavailable as why:
        logger.warning("some items that nobody reads stay in the table: %s", why)


def _project(known: Known, files: tuple[File, ...]) -> Project:
    return replace(known.facts, serial=known.serial, files=files)


def _line(known: Known) -> ProjectSummary | None:
    return newest.summary(known.facts, known.standing, known.serial)
