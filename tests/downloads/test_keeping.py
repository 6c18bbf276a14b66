"""Counts in the storage: added up over processes and days, whatever is killed meanwhile."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date

import msgspec
import pytest

from app import errors
from app.downloads import Downloads, Figures, counted_as, kept
from app.downloads.kept import Kept
from app.storage.base import Storage, read
from app.storage.memory import MemoryStorage
from tests.downloads.conftest import DAY, HOUR, NOON, Clock, keys

PIP = b'pip/24.2 {"python":"3.12.4"}'
UV = b'uv/0.5.1 {"python":"3.13.0"}'
CURL = b"curl/8.5.0"
MINUTE = 60.0
MIDNIGHT = NOON + 12 * HOUR


class Fragile(MemoryStorage):
    """A storage that does not answer, or is killed amid its work, where a test says so."""

    out: bool = False
    killed_before: str = ""
    reads: int = 0

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._answer("put")
        await super().put(key, content, size=size, sha256=sha256, metadata=metadata)

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        self._answer("get")
        self.reads += 1
        async for chunk in super().get(key, start=start, end=end):
            yield chunk

    async def create(self, key: str, content: bytes) -> bool:
        self._answer("create")
        return await super().create(key, content)

    async def delete_many(self, many: Sequence[str]) -> None:
        self._answer("delete")
        await super().delete_many(many)

    def _answer(self, what: str) -> None:
        if self.out or self.killed_before == what:
            raise errors.StorageUnavailable("The storage does not answer.")


def count(downloads: Downloads, times: int = 1, version: str = "1.0", agent: bytes = PIP) -> None:
    """Downloads of demo."""
    for _ in range(times):
        downloads.tally.count("demo", version, agent)


async def told(downloads: Downloads, project: str = "demo") -> Figures:
    """What there is of a project, of the first generation where it has one."""
    return await downloads.figures(project, None)


async def told_anew(storage: Storage, clock: Clock) -> int:
    """The total of demo, by a process that knows nothing yet."""
    return (await told(Downloads(storage, clock=clock))).total


class TestCounting:
    """What one process counts."""

    async def test_it_is_told_at_once(self, storage: Storage, clock: Clock) -> None:
        """By day, version, tool and Python, before anything is written."""
        downloads = Downloads(storage, clock=clock)
        count(downloads, 2)
        count(downloads, 1, "2.0", UV)
        count(downloads, 1, "2.0", CURL)
        figures = await told(downloads)
        assert figures.total == 4
        assert figures.days[-1] == (date(2026, 11, 29), 4)
        assert figures.days[0] == (date(2026, 9, 1), 0)
        assert len(figures.days) == 90
        assert figures.versions == {"1.0": 2, "2.0": 2}
        assert figures.installers == {"pip": 2, "uv": 1, "curl": 1}
        assert figures.pythons == {"3.12": 2, "3.13": 1, "": 1}
        assert await keys(storage) == []

    async def test_only_what_is_new_is_written(self, storage: Storage, clock: Clock) -> None:
        """One object a day, over and over; nothing where nothing was downloaded."""
        downloads = Downloads(storage, clock=clock)
        await downloads.tally.flush()
        assert await keys(storage) == []
        for _ in range(3):
            count(downloads)
            await downloads.tally.flush()
        (key,) = await keys(storage)
        before = await storage.head(f"downloads/{key}")
        await downloads.tally.flush()
        assert await storage.head(f"downloads/{key}") == before
        assert key.startswith("2026-11-29/")
        assert await told_anew(storage, clock) == 3

    async def test_another_day_is_another_object(self, storage: Storage, clock: Clock) -> None:
        """Days are those of UTC."""
        downloads = Downloads(storage, clock=clock)
        clock.now = MIDNIGHT - 1
        count(downloads)
        clock.now = MIDNIGHT
        count(downloads, 2)
        await downloads.tally.flush()
        assert [key[:10] for key in await keys(storage)] == ["2026-11-29", "2026-11-30"]
        figures = await told(downloads)
        assert [number for _, number in figures.days[-3:]] == [0, 1, 2]

    async def test_a_project_of_the_same_name_begins_at_zero(self, clock: Clock) -> None:
        """What is counted is of a generation; what upstreams have is of none."""
        downloads = Downloads(MemoryStorage(), clock=clock)
        for generation, version in (("g1", "1.0"), ("g2", "2.0"), ("", "3.0")):
            downloads.tally.count(counted_as("demo", generation), version, PIP)
        assert (await downloads.figures("demo", "g2")).versions == {"2.0": 1, "3.0": 1}
        assert (await downloads.figures("demo", None)).versions == {"3.0": 1}
        assert await downloads.most(5) == [("demo", 3)]


class TestProcesses:
    """Several of them, on one storage."""

    async def test_two_add_up(self, storage: Storage, clock: Clock) -> None:
        """Each writes its own; each is told of both within a minute."""
        one, two = Downloads(storage, clock=clock), Downloads(storage, clock=clock)
        count(one, 2)
        count(two, 3)
        await one.tally.flush()
        await two.tally.flush()
        assert len(await keys(storage)) == 2
        assert (await told(one)).total == (await told(two)).total == 5
        count(two, 10)
        await two.tally.flush()
        assert (await told(one)).total == 5
        clock.now += MINUTE
        assert (await told(one)).total == 15
        assert await one.most(10) == await two.most(10) == [("demo", 15)]

    async def test_a_day_is_told_alike_before_and_after_its_end(
        self, storage: Storage, clock: Clock
    ) -> None:
        """From the tally, from the parts, from the record: at no moment more or less."""
        one, two = Downloads(storage, clock=clock), Downloads(storage, clock=clock)
        count(one, 2)
        count(two, 3)
        await two.tally.flush()
        assert (await told(one)).total == 5
        clock.now = MIDNIGHT
        while clock.now < MIDNIGHT + 3 * HOUR:
            for downloads in (one, two):
                await downloads.tally.flush()
                assert (await told(downloads)).total == 5
            await Kept(storage).tidy(clock.now)
            assert await told_anew(storage, clock) == 5
            for downloads in (one, two):
                assert (await told(downloads)).total == 5
            clock.now += 10 * MINUTE
        assert await keys(storage) == ["2026-11-29/all.json"]

    async def test_days_that_are_over_are_read_once(self, clock: Clock) -> None:
        """Later they are known by heart."""
        storage = Fragile()
        for _ in range(5):
            downloads = Downloads(storage, clock=clock)
            count(downloads)
            await downloads.tally.flush()
            clock.now += DAY
        asked = Downloads(storage, clock=clock)
        assert (await told(asked)).total == 5
        reads = storage.reads
        for _ in range(3):
            clock.now += MINUTE
            assert (await told(asked)).total == 5
        assert storage.reads == reads

    async def test_others_are_read_at_most_each_minute(self, clock: Clock) -> None:
        """However often somebody asks."""
        storage = Fragile()
        one, two = Downloads(storage, clock=clock), Downloads(storage, clock=clock)
        for number in range(1, 20):
            count(one)
            await one.tally.flush()
            await told(two)
            await two.most(3)
            assert storage.reads == 1, number


class TestPuttingTogether:
    """Days that are over."""

    async def parts(self, storage: Storage, clock: Clock, number: int = 3) -> None:
        """Parts of one day, each of one download."""
        for _ in range(number):
            downloads = Downloads(storage, clock=clock)
            count(downloads)
            await downloads.tally.flush()

    async def test_parts_become_one_record(self, storage: Storage, clock: Clock) -> None:
        """It says which parts it contains; again changes nothing."""
        await self.parts(storage, clock)
        names = [key.partition("/")[2].removesuffix(".json") for key in await keys(storage)]
        clock.now = MIDNIGHT + HOUR
        for _ in range(3):
            await Kept(storage).tidy(clock.now)
            assert await keys(storage) == ["2026-11-29/all.json"]
            assert await told_anew(storage, clock) == 3
        content = await read(storage, "downloads/2026-11-29/all.json", limit=10**6)
        assert msgspec.json.decode(content) == {
            "projects": {"demo": [["1.0", "pip", "3.12", 3]]},
            "parts": names,
        }

    async def test_a_day_is_left_for_an_hour(self, storage: Storage, clock: Clock) -> None:
        """Who counts has to write the last of it first."""
        await self.parts(storage, clock)
        clock.now = MIDNIGHT + HOUR - 1
        await Kept(storage).tidy(clock.now)
        assert len(await keys(storage)) == 3

    @pytest.mark.parametrize("moment", ["create", "delete"])
    async def test_who_is_killed_loses_and_doubles_nothing(self, clock: Clock, moment: str) -> None:
        """Neither before the record is written nor before the parts are removed."""
        storage = Fragile()
        await self.parts(storage, clock)
        clock.now = MIDNIGHT + HOUR
        storage.killed_before = moment
        with pytest.raises(errors.StorageUnavailable):
            await Kept(storage).tidy(clock.now)
        storage.killed_before = ""
        assert len(await keys(storage)) == (4 if moment == "delete" else 3)
        assert await told_anew(storage, clock) == 3
        await Kept(storage).tidy(clock.now)
        assert await keys(storage) == ["2026-11-29/all.json"]
        assert await told_anew(storage, clock) == 3

    async def test_of_two_who_tidy_one_wins(self, clock: Clock) -> None:
        """The one that is late finds the parts gone, or the record there."""

        class Racing(Fragile):
            async def create(self, key: str, content: bytes) -> bool:
                if not self.killed_before:
                    self.killed_before = "nobody"
                    await Kept(self).tidy(clock.now)
                return await super().create(key, content)

        storage = Racing()
        await self.parts(storage, clock)
        clock.now = MIDNIGHT + HOUR
        await Kept(storage).tidy(clock.now)
        assert await keys(storage) == ["2026-11-29/all.json"]
        assert await told_anew(storage, clock) == 3

    async def test_who_reads_meanwhile_counts_all(self, clock: Clock) -> None:
        """Parts that go while they are read are in the record."""

        class Racing(Fragile):
            async def get(
                self, key: str, *, start: int = 0, end: int | None = None
            ) -> AsyncIterator[bytes]:
                if self.reads == 1:
                    self.reads = 2
                    await Kept(self).tidy(clock.now)
                async for chunk in super().get(key, start=start, end=end):
                    yield chunk

        storage = Racing()
        await self.parts(storage, clock)
        clock.now = MIDNIGHT + HOUR
        assert await told_anew(storage, clock) == 3
        assert await keys(storage) == ["2026-11-29/all.json"]

    async def test_what_is_too_old_goes(self, storage: Storage, clock: Clock) -> None:
        """After four hundred days; the last of them is still told of."""
        await self.parts(storage, clock)
        clock.now += 399 * DAY
        await Kept(storage).tidy(clock.now)
        assert await told_anew(storage, clock) == 3
        clock.now += DAY
        assert await told_anew(storage, clock) == 0
        await Kept(storage).tidy(clock.now)
        assert await keys(storage) == []

    async def test_what_is_damaged_counts_nothing(
        self, storage: Storage, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The others do; the day stays as it is, with a warning."""
        await self.parts(storage, clock)
        broken = f"downloads/2026-11-29/{'0' * 26}.json"
        await storage.create(broken, b'{"projects":{"demo":[["1.0"')
        await storage.create("downloads/2026-06-31/all.json", b"a day that never was")
        await storage.create("downloads/README", b"nothing of ours")
        clock.now = MIDNIGHT + HOUR
        with caplog.at_level(logging.WARNING):
            assert await told_anew(storage, clock) == 3
            await Kept(storage).tidy(clock.now)
        assert broken in caplog.text
        assert len(await keys(storage)) == 6


class TestOutage:
    """A storage that does not answer."""

    async def test_counting_goes_on(self, clock: Clock) -> None:
        """What was counted is written when it answers again."""
        storage = Fragile()
        downloads = Downloads(storage, clock=clock)
        count(downloads)
        storage.out = True
        for _ in range(3):
            with pytest.raises(errors.StorageUnavailable):
                await downloads.tally.flush()
            count(downloads)
            clock.now += MINUTE
        assert downloads.tally.unwritten == 4
        storage.out = False
        await downloads.tally.flush()
        assert downloads.tally.unwritten == 0
        assert await told_anew(storage, clock) == 4

    @pytest.mark.parametrize("hours", [0.25, 0.75, 2, 30])
    async def test_over_the_end_of_a_day(self, clock: Clock, hours: float) -> None:
        """What comes late counts for its day, though that was put together already."""
        storage = Fragile()
        one, two = Downloads(storage, clock=clock), Downloads(storage, clock=clock)
        count(one, 2)
        count(two, 3)
        await one.tally.flush()
        await two.tally.flush()
        count(one, 4)
        clock.now = MIDNIGHT + 1
        count(one)
        storage.out = True
        with pytest.raises(errors.StorageUnavailable):
            await one.tally.flush()
        clock.now = MIDNIGHT + hours * HOUR
        with pytest.raises(errors.StorageUnavailable):
            await one.tally.flush()
        storage.out = False
        await Kept(storage).tidy(clock.now)
        for _ in range(2):
            await one.tally.flush()
            figures = await Downloads(storage, clock=clock).figures("demo", None)
            assert figures.total == 10
            assert dict(figures.days)[date(2026, 11, 29)] == 9
            clock.now += 26 * HOUR
            await Kept(storage).tidy(clock.now)
            assert (await told(one)).total == 10

    async def test_what_is_known_is_told(self, clock: Clock) -> None:
        """Who knows nothing says so; who read before tells that, and what it counts."""
        storage = Fragile()
        one, two = Downloads(storage, clock=clock), Downloads(storage, clock=clock)
        count(one)
        await one.tally.flush()
        storage.out = True
        with pytest.raises(errors.StorageUnavailable):
            await told(two)
        storage.out = False
        assert (await told(two)).total == 1
        clock.now += MINUTE
        count(one)
        await one.tally.flush()
        count(two)
        storage.out = True
        assert (await told(two)).total == 2
        storage.out = False
        clock.now += MINUTE
        assert (await told(two)).total == 3

    async def test_what_waits_is_bounded(
        self, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """After a week of it the oldest day is given up, and the log says how much that was."""
        storage = Fragile()
        storage.out = True
        downloads = Downloads(storage, clock=clock)
        for _ in range(20):
            count(downloads, 2)
            clock.now += DAY
        assert len(list(downloads.tally.held)) == 8
        assert "2 downloads of 2026-11-29 could not be written" in caplog.text

    async def test_who_ends_says_what_is_lost(
        self, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The end of a process writes what is left, or says how much is not written."""
        storage = Fragile()
        downloads = Downloads(storage, clock=clock)
        count(downloads, 2)
        storage.out = True
        await downloads.close()
        assert "2 downloads could not be written" in caplog.text
        storage.out = False
        await downloads.close()
        assert await told_anew(storage, clock) == 2


class TestBounds:
    """However much is downloaded."""

    async def test_a_process_counts_so_many_rows(self, storage: Storage, clock: Clock) -> None:
        """What is beyond that is told apart no more, but counts."""
        downloads = Downloads(storage, clock=clock, keys=10)
        for number in range(500):
            downloads.tally.count("demo", f"{number}.0", b"tool%d/1" % number)
        assert sum(len(rows) for rows in next(downloads.tally.held).counts.rows.values()) <= 31
        figures = await told(downloads)
        assert figures.total == 500
        assert figures.versions[""] > 450

    async def test_so_many_rows_are_remembered(
        self, storage: Storage, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """First the details of old days go, then old days."""
        for _ in range(100):
            downloads = Downloads(storage, clock=clock)
            for version in ("1.0", "2.0", "3.0"):
                count(downloads, 1, version)
            await downloads.tally.flush()
            clock.now += DAY
        plenty, some, few = (Downloads(storage, clock=clock, rows=n) for n in (1000, 160, 20))
        whole = await told(plenty)
        assert (whole.total, whole.versions["1.0"]) == (300, 89)
        assert sum(len(page.sheet) for page in plenty._pages.values()) <= 300 - 2 * 11
        part = await told(some)
        assert (part.total, part.days) == (300, whole.days)
        assert part.versions["1.0"] == 29
        for _ in range(2):
            last = await told(few)
            assert last.total == 60
            clock.now += MINUTE
        assert caplog.text.count("too many to be remembered") == 80

    async def test_the_most_downloaded(self, storage: Storage, clock: Clock) -> None:
        """Of thirty days, the greatest first, and so many as were asked for."""
        old = Downloads(storage, clock=clock)
        old.tally.count("long-ago", "1.0", PIP)
        await old.tally.flush()
        clock.now += 30 * DAY
        downloads = Downloads(storage, clock=clock)
        for number in range(5):
            for _ in range(number):
                downloads.tally.count(f"demo{number}@generation", "1.0", UV)
        await downloads.tally.flush()
        expected = [("demo4", 4), ("demo3", 3), ("demo2", 2)]
        assert await downloads.most(3) == expected
        assert await Downloads(storage, clock=clock).most(3) == expected
        assert len(await downloads.most(10)) == 4


def test_a_day_ends_at_midnight() -> None:
    """Of UTC."""
    day = kept.today(NOON)
    assert date.fromordinal(day) == date(2026, 11, 29)
    assert kept.end(day) == MIDNIGHT
    assert kept.today(MIDNIGHT) == day + 1


class TestUsed:
    """Which versions somebody downloaded lately: only where that is known."""

    async def test_what_was_counted_lately_is_used(self, storage: Storage, clock: Clock) -> None:
        """Within the days that are asked for, whoever counted it."""
        for days_ago, version in ((9, "0.1"), (5, "0.5"), (0, "1.0")):
            clock.now = NOON - days_ago * DAY
            one = Downloads(storage, clock=clock)
            count(one, version=version)
            await one.tally.flush()
        asked = Downloads(storage, clock=clock)
        assert await asked.used("demo", "", within=3) == frozenset({"1.0"})
        assert await asked.used("demo", "", within=7) == frozenset({"0.5", "1.0"})
        assert await asked.used("never", "", within=7) == frozenset()

    async def test_nothing_is_known_of_the_time_before(
        self, storage: Storage, clock: Clock
    ) -> None:
        """Where counting began later than what is asked for."""
        assert await Downloads(storage, clock=clock).used("demo", "", within=1) is None
        clock.now = NOON - 2 * DAY
        one = Downloads(storage, clock=clock)
        count(one)
        await one.tally.flush()
        clock.now = NOON
        asked = Downloads(storage, clock=clock)
        assert await asked.used("demo", "", within=3) is None
        assert await asked.used("demo", "", within=2) == frozenset()

    async def test_what_was_not_told_apart_may_be_any(self, storage: Storage, clock: Clock) -> None:
        """Where more was counted than is told apart, no version is called unused."""
        clock.now = NOON - 9 * DAY
        one = Downloads(storage, clock=clock)
        count(one)
        await one.tally.flush()
        clock.now = NOON
        many = Downloads(storage, clock=clock, keys=2)
        for number in range(50):
            many.tally.count(f"project-{number}", "1.0", PIP)
        await many.tally.flush()
        assert await Downloads(storage, clock=clock).used("demo", "", within=3) is None
