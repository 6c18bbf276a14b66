"""The cache in Redis: what is read is one round trip, what is written one script."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from packaging.utils import NormalizedName

from app import errors
from app.cache import certainty
from app.cache.base import NOTHING, Query
from app.cache.builds import Builds, emptied
from app.cache.redis import era as scripts
from app.cache.redis import plans, reading, records
from app.cache.redis.era import Emptied, Era
from app.cache.redis.server import answering
from app.cache.redis.writing import Writer
from app.models import Change, File, Project, ProjectSummary
from app.unbroken import Unbroken

T = TypeVar("T")

_PAGE = 1000
"""Changes in one answer."""
KEEP_EVERY = 3600
"""Seconds."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What held when a build began: as long as it holds, nothing that was built was lost."""

    era: str
    serial: int
    run: str


class RedisCache:
    """A Cache whose every write is one script. What was begun is finished, whoever waits."""

    indexed = False

    def __init__(self, era: Era) -> None:
        self._era = era
        self.pools = era.pools
        self._writer = Writer(era)
        self._finished = Unbroken()
        self._builds: Builds[_Begun] = Builds()

    async def project(self, name: NormalizedName) -> Project | None:
        held = await reading.held(self._era, name)
        if held.facts is None:
            return None
        with answering():
            files = await records.files_in_turns(list(held.files.values()))
        return replace(held.facts, serial=held.serial, files=tuple(files))

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        held = await reading.held(self._era, name, filename or "")
        if held.facts is None:
            return None
        with answering():
            files = records.files(held.files.values())
        return replace(held.facts, serial=held.serial, files=tuple(files))

    async def certain(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        return await certainty.certain(self, name, filename)

    async def file(self, name: NormalizedName, filename: str) -> File | None:
        outline = await self.outline(name, filename)
        return outline.files[0] if outline and outline.files else None

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        return await self.search(Query(), after=after, limit=limit)

    async def search(
        self, query: Query, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        lines = await reading.lines(self._era, query, after, limit)
        with answering():
            return await records.summaries(lines)

    async def save(self, file: File, change: Change) -> int:
        planning = partial(plans.save, file=file)
        return await self._finished(
            self._writer.change(file.project, file.filename, planning, change)
        )

    async def save_project(self, project: Project, change: Change) -> int:
        planning = partial(plans.save_project, project=project)
        return await self._finished(self._writer.change(project.name, None, planning, change))

    async def restore(
        self, projects: Sequence[Project], change: Change, *, untrue: AbstractSet[str] = NOTHING
    ) -> int:
        return await self._finished(self._writer.restore(projects, change, untrue))

    async def forget(self, name: NormalizedName, filename: str | None, change: Change) -> int:
        planning = partial(plans.forget, filename=filename)
        return await self._finished(self._writer.change(name, filename, planning, change))

    async def record(self, change: Change) -> int:
        words = records.cut(change)
        (serial,) = await self._finished(self._era.run(scripts.RECORD, *words))
        return int(serial)

    async def serial(self) -> int:
        begun, _ = await self._look()
        return begun.serial

    async def shown_serial(self) -> int:
        (serial,) = await self._era.run(scripts.SHOWN)
        return int(serial)

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        found: list[Change] = []
        while len(found) < limit:
            count = min(_PAGE, limit - len(found))
            bodies = await self._era.run(scripts.CHANGES, max(after, 0) + 1, count)
            with answering():
                found += records.changes(bodies)
            if len(bodies) < count:
                break
            after = found[-1].serial
        return found

    async def prune(self, below: int, change: Change) -> None:
        words = (max(below, 0), _PAGE, *records.cut(change))
        while int((await self._finished(self._era.run(scripts.PRUNE, *words)))[0]):
            pass

    async def clear(self, floor: int = 0) -> None:
        serial, run, era = await self._finished(self._era.clear(floor))
        self._builds.begin(_Begun(era, serial, run))
        await self._finished(self._era.sweep())

    async def built(self) -> bool:
        try:
            begun, built = await self._look()
        except Emptied:
            await self._finished(self._era.open())
            begun, built = await self._look()
        self._builds.begin(begun)
        return built

    async def set_built(self) -> None:
        begun = self._builds.mark()
        if begun is None:
            begun, _ = await self._look()
        if begun.era != self._era.keys.era:
            raise emptied()
        await self._finished(self._era.run(scripts.BUILT, begun.serial, begun.run, begun.era))

    async def keep(self) -> None:
        """Until cancelled, see that what this version holds is kept, and nothing else."""
        while True:
            try:
                await self._finished(self._era.keep())
            except errors.CacheUnavailable as why:
                logger.warning("will be tried again: %s", why)
            await asyncio.sleep(KEEP_EVERY)

    async def settled(self) -> None:
        """Wait for what goes on although nobody waits for it any more."""
        await self._finished.settled()

    async def _look(self) -> tuple[_Begun, bool]:
        serial, built, run, era = await self._era.run(scripts.LOOK)
        return _Begun(era.decode(), int(serial), run.decode()), built == b"1"
