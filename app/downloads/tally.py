"""Counting: what this process hands out, kept in memory for a minute at most.

Counting costs a look-up and an addition. What was counted is written beside what other processes
counted; while the storage does not answer it stays here, and goes on being counted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

from ulid import ULID

from app.downloads import kept
from app.downloads.agents import Agents
from app.downloads.counts import KEYS, Counts, Record, without
from app.downloads.kept import Kept

OVER = 7
"""Days that are over and wait for a storage that does not answer, at most."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Counted:
    """A day, as far as this process counted it; ``name`` is that of its part."""

    day: int
    name: str
    counts: Counts
    number: int = 0
    """How often something was counted."""
    written: int = 0
    """How much of that is in the storage."""
    kept: Record = field(default_factory=lambda: Record({}))
    """What is in the storage, as far as that is known."""
    writing: bool = False
    late: bool = False
    """Whether it is a part of its own of what came too late for the first one."""


class Tally:
    """What one process counted, today and on days that are not wholly written yet."""

    def __init__(
        self, shelf: Kept, *, clock: Callable[[], float] = time.time, keys: int = KEYS
    ) -> None:
        self._shelf, self._clock, self._keys = shelf, clock, keys
        self._agents = Agents()
        self._name = str(ULID())
        self._over: list[Counted] = []
        self._begin(kept.today(clock()))

    def count(self, project: str, version: str, agent: bytes) -> None:
        """One more; ``agent`` is the User-Agent as it was sent."""
        if self._clock() >= self._end:
            self._turn()
        today = self._today
        today.number += 1
        row = (version, self._agents.get(agent) or self._agents.learn(agent))
        rows = today.counts.rows.get(project)
        if rows is not None and row in rows:
            rows[row] += 1
        else:
            today.counts.add(project, row)

    @property
    def held(self) -> Iterator[Counted]:
        """The days that are told from here and not from the storage."""
        yield from self._over
        yield self._today

    @property
    def unwritten(self) -> int:
        """How much would be lost if the process ended now."""
        return sum(one.number - one.written for one in self.held)

    async def flush(self) -> None:
        """Write what is new. Raises errors.StorageUnavailable; nothing is lost by that."""
        self.settle()
        for one in [*self._over]:
            await self._write(one)
            if one.late:
                self._over.remove(one)
        await self._write(self._today)

    def settle(self) -> None:
        """Let go of days that others may put together by now, but for what is not written."""
        now = self._clock()
        if now >= self._end:
            self._turn()
        for one in [*self._over]:
            if one.late or one.writing or now < kept.end(one.day) + kept.LATE:
                continue
            if one.number > one.written:
                self._set_apart(one)
            else:
                self._over.remove(one)

    async def _write(self, one: Counted) -> None:
        number = one.number
        if number > one.written:
            record = one.counts.record()
            one.writing = True
            try:
                await self._shelf.write(one.day, one.name, record)
            finally:
                one.writing = False
            one.written, one.kept = number, record

    def _set_apart(self, one: Counted) -> None:
        """Others may have put the day together already: the rest becomes a part of its own."""
        one.counts = without(one.counts, one.kept)
        one.number -= one.written
        one.written, one.kept, one.late = 0, Record({}), True
        one.name = str(ULID())

    def _begin(self, day: int) -> None:
        self._today = Counted(day, self._name, Counts(self._keys))
        self._end = kept.end(day)

    def _turn(self) -> None:
        """Another day has begun."""
        if self._today.number:
            self._over.append(self._today)
        while len(self._over) > OVER:
            gone = self._over.pop(0)
            lost, day = gone.number - gone.written, date.fromordinal(gone.day)
            logger.error("%d downloads of %s could not be written", lost, day)
        self._begin(kept.today(self._clock()))
