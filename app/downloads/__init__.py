"""How often what is downloaded: counted in every process, kept in the storage, told of any.

The cache may be emptied at any time, so nothing of this is in it. A process counts in memory and
writes what it counted each minute (tally); days that are over are put together (kept). Whoever
asks is answered from what is remembered here of the days that are over, from what others wrote
up to a minute ago, and from what this process counts.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import date

from app import errors
from app.abreast import abreast
from app.downloads import kept
from app.downloads.counts import KEYS, Line
from app.downloads.kept import Found, Kept
from app.downloads.sheets import Sheet, Words
from app.downloads.tally import Tally
from app.storage.base import Storage
from app.unbroken import begun

EVERY = 60.0
"""Seconds between two writes, and between two looks at what others wrote."""
TIDY_EVERY = 3600.0
SHOWN = 90
"""Days that are told one by one, and of which versions and tools are known."""
RECENT = 30
"""Days of which the most downloaded projects are told."""
ROWS = 2_000_000
"""Rows of days that are remembered: 24 bytes each."""
AT_ONCE = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The downloads of a project: of all days that are kept, and of each of the last ones.

    ``versions``, ``installers`` and ``pythons`` are of the days that were asked for, greatest
    first; what could not be told apart is under an empty name.
    """

    total: int
    days: Sequence[tuple[date, int]]
    versions: Mapping[str, int]
    installers: Mapping[str, int]
    pythons: Mapping[str, int]


_Held = frozenset[tuple[int, str]]
"""Days and parts that the tally has, so that they are not read from the storage."""


@dataclass(slots=True)
class _Page:
    """A day that is remembered, and the state of its keys when it was read."""

    state: tuple[object, ...]
    sheet: Sheet


def counted_as(project: str, generation: str) -> str:
    """Under which name a project is counted: a later one of the same name is another one.

    Files of upstreams have no generation.
    """
    return f"{project}@{generation}" if generation else project


class Downloads:
    """The counts of one storage; ``tally`` counts what this process hands out."""

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Callable[[], float] = time.time,
        keys: int = KEYS,
        rows: int = ROWS,
    ) -> None:
        self._shelf, self._clock, self._rows = Kept(storage), clock, rows
        self.tally = Tally(self._shelf, clock=clock, keys=keys)
        self._words = Words()
        self._pages: dict[int, _Page] = {}
        self._read_at: float | None = None
        self._skipped: _Held = frozenset()
        self._reading: asyncio.Task[None] | None = None
        self._most: tuple[float | None, Counter[str]] = (None, Counter())

    # Asking

    async def figures(
        self, project: str, generation: str | None, *, within: int = SHOWN
    ) -> Figures:
        """The downloads of a project; ``within`` so many days its versions and tools.

        Raises errors.StorageUnavailable where nothing is known yet.
        """
        await self._fresh()
        names = {project, counted_as(project, generation or "")}
        today = kept.today(self._clock())
        days: Counter[int] = Counter()
        parts: tuple[Counter[str], Counter[str], Counter[str]] = (Counter(), Counter(), Counter())
        for day, lines in self._lines(names):
            for *row, count in lines:
                days[day] += count
                if day > today - within:
                    for counter, word in zip(parts, row, strict=True):
                        counter[word] += count
        versions, installers, pythons = (dict(counter.most_common()) for counter in parts)
        shown = range(today - SHOWN + 1, today + 1)
        return Figures(
            total=days.total(),
            days=[(date.fromordinal(day), days[day]) for day in shown],
            versions=versions,
            installers=installers,
            pythons=pythons,
        )

    async def used(self, project: str, generation: str, *, within: int) -> frozenset[str] | None:
        """The versions of which something was downloaded in the last ``within`` days, today's too.

        None where that is not known: counting began later, or more was counted than could be told
        apart. Raises errors.StorageUnavailable where nothing is known yet.
        """
        figures = await self.figures(project, generation, within=within)
        first = kept.today(self._clock()) - within + 1
        blurred = any(day >= first and any(True for _ in lines) for day, lines in self._lines([""]))
        if blurred or "" in figures.versions or min(self._pages, default=first) >= first:
            return None
        return frozenset(figures.versions)

    async def most(self, limit: int) -> list[tuple[str, int]]:
        """The most downloaded projects of the last days, and how often they were.

        Raises errors.StorageUnavailable where nothing is known yet.
        """
        await self._fresh()
        first = kept.today(self._clock()) - RECENT + 1
        read_at = self._read_at
        if self._most[0] != read_at:
            sheets = [page.sheet for day, page in self._pages.items() if day >= first]
            self._most = (read_at, await asyncio.to_thread(self._totals, sheets))
        totals = self._most[1].copy()
        for one in self.tally.held:
            if one.day >= first:
                for name, rows in one.counts.rows.items():
                    totals[name.partition("@")[0]] += sum(rows.values())
        del totals[""]  # more projects than are told apart
        return sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]

    def _lines(self, names: Iterable[str]) -> Iterable[tuple[int, Iterable[Line]]]:
        """What is known of a project, by day."""
        numbers = [number for name in names if (number := self._words.find(name)) is not None]
        for day, page in self._pages.items():
            for number in numbers:
                yield day, page.sheet.of_project(number)
        for one in self.tally.held:
            for name in names:
                rows = one.counts.rows.get(name, {})
                yield one.day, ((version, *who, n) for (version, who), n in rows.items())

    def _totals(self, sheets: Iterable[Sheet]) -> Counter[str]:
        totals: Counter[str] = Counter()
        for sheet in sheets:
            for number, count in sheet.totals().items():
                totals[self._words[number].partition("@")[0]] += count
        return totals

    # Reading

    async def _fresh(self) -> None:
        """Read what others wrote, at most each minute; one reads for all who ask."""
        self.tally.settle()
        held = frozenset((one.day, one.name) for one in self.tally.held)
        asked, now = self._read_at, self._clock()
        if asked is not None and 0 <= now - asked < EVERY and held == self._skipped:
            return
        if self._reading is None or self._reading.done():
            self._reading = begun(self._read(held))
        try:
            await asyncio.shield(self._reading)
        except errors.StorageUnavailable:
            if asked is None:
                raise
            # What was read before is nearly as good; the storage is asked again in a minute.
            self._read_at = now

    async def _read(self, held: _Held) -> None:
        now = self._clock()
        today = kept.today(now)
        first = today - kept.DAYS + 1
        days = {day: found for day, found in (await self._shelf.days()).items() if day >= first}
        for day in [day for day in self._pages if day not in days]:
            del self._pages[day]
        stale = [found for found in days.values() if self._is_stale(found, held)]
        reading = (self._shelf.read(found, skip=_skipped(found, held)) for found in stale)
        async with aclosing(abreast(reading, AT_ONCE)) as read:
            places = iter(stale)
            async for records in read:
                found = next(places)
                thin = found.day <= today - SHOWN
                # One after the other: words get their numbers in one thread at a time.
                sheet = await asyncio.to_thread(Sheet.of, records, self._words, thin=thin)
                self._pages[found.day] = _Page(_state(found, held), sheet)
        self._bound(today)
        self._read_at, self._skipped = now, held

    def _is_stale(self, found: Found, held: _Held) -> bool:
        page = self._pages.get(found.day)
        return page is None or page.state != _state(found, held)

    def _bound(self, today: int) -> None:
        """Know less of days long ago, and of fewer, rather than remember more and more."""
        for thin_to in (today - SHOWN, today - RECENT, today):
            for day, page in self._pages.items():
                if day <= thin_to and not page.sheet.thin:
                    page.sheet = page.sheet.thinned()
            if sum(len(page.sheet) for page in self._pages.values()) <= self._rows:
                return
        for day in sorted(day for day, page in self._pages.items() if len(page.sheet)):
            if sum(len(page.sheet) for page in self._pages.values()) <= self._rows:
                return
            # Empty, not absent: it would be read again each minute.
            self._pages[day].sheet = Sheet(self._words, ())
            logger.warning("downloads of %s are too many to be remembered", date.fromordinal(day))

    # Keeping

    async def run(self) -> None:
        """Write what is counted each minute, and tidy now and then, until cancelled."""
        failing = False
        tidied = self._clock() - TIDY_EVERY * random.random()  # noqa: S311  # not all at once
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.tally.flush()
                if self._clock() - tidied >= TIDY_EVERY:
                    await self._shelf.tidy(self._clock())
                    tidied = self._clock()
                failing = False
            except errors.PypicloudError as why:
                if not failing:
                    logger.warning("downloads are not written, and go on being counted: %s", why)
                failing = True
            except Exception:  # a task that ends writes nothing any more
                logger.exception("downloads are not written, and go on being counted")

    async def close(self) -> None:
        """Write what is left."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        try:
            await self.tally.flush()
        except errors.PypicloudError as why:
            logger.error("%d downloads could not be written: %s", self.tally.unwritten, why)


def _skipped(found: Found, held: _Held) -> frozenset[str]:
    return frozenset(name for day, name in held if day == found.day and name in found.keys)


def _state(found: Found, held: _Held) -> tuple[object, ...]:
    return (*found.state, _skipped(found, held))


@asynccontextmanager
async def counting(downloads: Downloads | None) -> AsyncIterator[None]:
    """Have what is counted written while the block runs, and at its end."""
    if downloads is None:
        yield
        return
    task = asyncio.create_task(downloads.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await downloads.close()
