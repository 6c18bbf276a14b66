"""Writes: planned here upon what was read, carried out by a script if that still holds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TypeAlias
from weakref import WeakValueDictionary

from packaging.utils import NormalizedName

from app.cache.redis import plans, reading, records
from app.cache.redis.era import COMMIT, Era
from app.cache.redis.plans import Partial, Plan
from app.cache.redis.records import Held
from app.cache.redis.server import Word, answering
from app.models import Change, Project

Planning: TypeAlias = Callable[[Held], "Plan | int | None"]
Planned: TypeAlias = "tuple[NormalizedName, list[Word]]"

_PROJECTS = 200
_FILES = 500
"""What one script restores; a project that has more files is restored by one of its own."""
_PAUSE = 0.002
"""Seconds, shaken and growing, before a write that came second is planned anew."""


class Writer:
    """Writes to the projects of a cache. Those of one process to one project queue here."""

    def __init__(self, era: Era) -> None:
        self._era = era
        self._turns: WeakValueDictionary[NormalizedName, asyncio.Lock] = WeakValueDictionary()

    async def change(
        self, name: NormalizedName, filename: str | None, planning: Planning, change: Change
    ) -> int:
        """Change a project, perhaps this file of it; the serial that the project has then."""
        async with self._turns.setdefault(name, asyncio.Lock()):
            tries = 0
            while True:
                plan = await self._planned(name, filename, planning)
                if isinstance(plan, int):
                    return plan
                (serial,) = await self._commit([(name, plan.words(change))])
                if serial:
                    return serial
                tries += 1
                await asyncio.sleep(random.uniform(0, _PAUSE) * tries)  # noqa: S311  # no secret

    async def restore(
        self, projects: Sequence[Project], change: Change, untrue: AbstractSet[str]
    ) -> int:
        """See Cache.restore."""
        return sum([await self._bring(batch, change, untrue) for batch in _batches(projects)])

    async def _planned(
        self, name: NormalizedName, filename: str | None, planning: Planning
    ) -> Plan | int:
        """A plan, or what is told of a project that stays as it is."""
        held = await reading.held(self._era, name, filename or "")
        with answering():
            try:
                return _told(planning(held), held)
            except Partial:
                pass
        held = await reading.held(self._era, name)
        with answering():
            return _told(await asyncio.to_thread(planning, held), held)

    async def _bring(
        self,
        batch: Mapping[NormalizedName, Project],
        change: Change,
        untrue: AbstractSet[str],
    ) -> int:
        left, differed = list(batch), 0
        while left:
            asked = left
            found = await self._era.read(
                lambda keys, asked=asked: [("HGETALL", keys.project(name)) for name in asked]  # type: ignore[misc]  # mypy does not infer defaults
            )
            projects = [batch[name] for name in asked]
            with answering():
                planned = await asyncio.to_thread(_restoring, projects, found, change, untrue)
            serials = await self._commit(planned)
            left = [name for (name, _), serial in zip(planned, serials, strict=True) if not serial]
            differed += len(planned) - len(left)
        return differed

    async def _commit(self, planned: Sequence[Planned]) -> list[int]:
        """The serials of the projects then; 0 where one changed since it was read."""
        if not planned:
            return []
        words: list[Word] = [len(planned)]
        for _, of_one in planned:
            words += of_one
        names = [name for name, _ in planned]
        return await self._era.run(COMMIT, *words, keys=names)


def _told(plan: Plan | int | None, held: Held) -> Plan | int:
    return held.serial if plan is None else plan


def _restoring(
    projects: Sequence[Project],
    found: Sequence[Mapping[bytes, bytes]],
    change: Change,
    untrue: AbstractSet[str],
) -> list[Planned]:
    planned = []
    for project, present in zip(projects, found, strict=True):
        plan = plans.restore(records.whole(project.name, present), project, untrue)
        if plan is not None:
            planned.append((project.name, plan.words(replace(change, project=project.name))))
    return planned


def _batches(projects: Sequence[Project]) -> Iterator[dict[NormalizedName, Project]]:
    """By name; a project given twice is two batches' business."""
    batch: dict[NormalizedName, Project] = {}
    files = 0
    for project in projects:
        files += len(project.files)
        if len(batch) == _PROJECTS or project.name in batch or (batch and files > _FILES):
            yield batch
            batch, files = {}, len(project.files)
        batch[project.name] = project
    if batch:
        yield batch
