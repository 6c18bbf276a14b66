"""What a cache promises of serials and changes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, permutations

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache
from app.testing.cache.asking import assert_whole, everything, follow
from app.testing.cache.nouns import (
    ALPHA,
    BETA,
    CHANGE,
    SECOND,
    make_change,
    make_file,
    make_project,
)


class Serials:
    """One number a change, only growing, and no gap that a follower could miss."""

    async def test_saving_gives_the_serial_of_its_change(self, cache: Cache) -> None:
        """What save returns is the serial of the change, of the project and of the cache."""
        first = await cache.save_project(make_project(), make_change("claim", project=ALPHA))
        change = make_change(project=ALPHA, filename="alpha-1.0.zip", version="1.0")
        second = await cache.save(make_file(), change)
        assert 0 < first < second
        assert (await cache.changes(first))[0] == replace(change, serial=second)
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.serial == second == await cache.serial() == await cache.shown_serial()

    async def test_a_change_concerns_one_project(self, cache: Cache) -> None:
        """A project's serial stays when another changes."""
        first = await cache.save_project(make_project(ALPHA), CHANGE)
        await cache.save_project(make_project(BETA), CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.serial == first

    async def test_a_file_needs_its_project(self, cache: Cache) -> None:
        """Saving a file of a project never saved raises ProjectNotFound and leaves nothing."""
        with pytest.raises(errors.ProjectNotFound):
            await cache.save(make_file(), CHANGE)
        assert await cache.file(ALPHA, make_file().filename) is None
        assert await cache.serial() == 0
        assert list(await cache.changes(0)) == []

    @pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
    async def test_the_newer_event_wins(self, cache: Cache, order: tuple[int, ...]) -> None:
        """Whatever the order of arrival, the greatest sequence is what stays."""
        for n in order:
            await cache.save_project(make_project(sequence=n, status_reason=str(n)), CHANGE)
            await cache.save(make_file(sequence=n, comment=str(n)), CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert (found.status_reason, found.files[0].comment) == ("3", "3")

    async def test_an_event_again_changes_nothing(self, cache: Cache) -> None:
        """The same event gives the project's serial, an older one 0; no change is recorded."""
        await cache.save_project(make_project(sequence=2), CHANGE)
        serial = await cache.save(make_file(sequence=2), CHANGE)
        await cache.save_project(make_project(BETA), CHANGE)
        before = await everything(cache)
        for sequence, told in ((2, serial), (1, 0)):
            assert await cache.save(make_file(sequence=sequence, comment="x"), CHANGE) == told
            assert await cache.save_project(make_project(sequence=sequence), CHANGE) == told
        assert await everything(cache) == before

    async def test_another_event_of_the_same_number_is_taken(self, cache: Cache) -> None:
        """An event that the cache holds under its number, but is another, takes its place."""
        await cache.save_project(make_project(sequence=2, status_reason="former"), CHANGE)
        await cache.save(make_file(sequence=2, yanked="former"), CHANGE)
        other = make_project(sequence=2, head="0" * 64, generation=SECOND)
        first = await cache.save_project(other, CHANGE)
        file = make_file(sequence=2, head="f" * 64, generation=SECOND)
        second = await cache.save(file, CHANGE)
        assert second == first + 1 == await cache.serial()
        found = await cache.project(ALPHA)
        assert found is not None
        assert replace(found, serial=0) == replace(other, files=(file,))
        assert [line.version for line in await cache.projects()] == ["1.0"]

    async def test_recording_concerns_no_project(self, cache: Cache) -> None:
        """A change of access has a serial, and shows on no project."""
        shown = await cache.save_project(make_project(), CHANGE)
        change = make_change("user.disable", filename="Zoë")
        serial = await cache.record(change)
        assert list(await cache.changes(shown)) == [replace(change, serial=serial)]
        assert await cache.serial() == serial > shown == await cache.shown_serial()

    async def test_deleted_projects_have_a_shown_serial(self, cache: Cache) -> None:
        """The greatest serial shown may be that of a deletion."""
        await cache.save_project(make_project(), CHANGE)
        serial = await cache.save_project(make_project(sequence=2, deleted=True), CHANGE)
        assert await cache.shown_serial() == serial

    async def test_changes_come_in_order_and_in_pages(self, cache: Cache) -> None:
        """Changes ascend, begin after ``after``, and are at most ``limit``."""
        given = [await cache.record(make_change(str(n))) for n in range(10)]
        assert [c.serial for c in await cache.changes(0)] == given == sorted(given)
        assert [c.serial for c in await cache.changes(given[3])] == given[4:]
        assert [c.serial for c in await cache.changes(given[3], limit=2)] == given[4:6]
        assert list(await cache.changes(given[-1])) == []

    async def test_changes_are_a_thousand_unless_told(self, cache: Cache) -> None:
        """Without a limit a page of changes has a thousand."""
        every = [make_project(f"p{n:04}") for n in range(1_200)]
        await cache.restore(every, make_change("reindex"))
        page = await cache.changes(0)
        assert [change.serial for change in page] == list(range(1, 1_001))
        assert len(await cache.changes(1_000)) == 200
        assert len(await cache.changes(0, limit=1_150)) == 1_150

    async def test_eight_writers_lose_nothing(self, cache: Cache) -> None:
        """Of concurrent writes each has its own serial, its file and its change."""
        await cache.save_project(make_project(), CHANGE)

        async def write(writer: int) -> list[int]:
            files = [make_file(f"{writer}.{n}") for n in range(10)]
            return [await cache.save(f, replace(CHANGE, version=f.version)) for f in files]

        given = sorted(chain.from_iterable(await asyncio.gather(*map(write, range(8)))))
        found = await cache.project(ALPHA)
        assert found is not None
        assert len(set(given)) == len(found.files) == 80
        assert found.serial == given[-1] == await cache.serial()
        changes = (await cache.changes(0))[1:]
        assert [c.serial for c in changes] == given
        assert {c.version for c in changes} == {f.version for f in found.files}
        assert (await cache.projects())[0].version == "7.9"

    async def test_one_file_saved_at_once_by_eight(self, cache: Cache) -> None:
        """Of writers of one file the newest event wins, and each success has its change."""
        await cache.save_project(make_project(), CHANGE)
        events = [make_file(sequence=n, comment=str(n)) for n in (5, 3, 8, 1, 7, 2, 6, 4)]
        await asyncio.gather(*(cache.save(event, CHANGE) for event in events))
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.files == (events[2],)
        assert found.serial == (await cache.changes(0))[-1].serial

    async def test_a_follower_misses_nothing(self, cache: Cache) -> None:
        """A reader that asks for the changes after the last it saw sees every one."""
        claimed = await cache.save_project(make_project(), CHANGE)

        async def write(writer: int) -> list[int]:
            return [await cache.save(make_file(f"{writer}.{n}"), CHANGE) for n in range(12)]

        following = asyncio.create_task(follow(cache, 97))
        given = sorted(chain([claimed], *await asyncio.gather(*map(write, range(8)))))
        assert await asyncio.wait_for(following, 60) == given

    async def test_a_follower_misses_nothing_of_a_reindex(self, cache: Cache) -> None:
        """Serials of many changes at once come without a gap, with those of others among them."""
        claimed = await cache.save_project(make_project(), CHANGE)
        many = [f"p{n:03}" for n in range(100)]

        async def restore(some: Sequence[str]) -> None:
            filled = [make_project(n, make_file("1.0", NormalizedName(n))) for n in some]
            assert await cache.restore(filled, make_change("reindex")) == len(some)

        async def write() -> None:
            for n in range(20):
                await cache.save(make_file(f"1.{n}"), CHANGE)

        following = asyncio.create_task(follow(cache, 121))
        await asyncio.gather(restore(many[:50]), write(), restore(many[50:]))
        seen = await asyncio.wait_for(following, 60)
        assert seen == list(range(claimed, claimed + 121))
        changed = [c.project for c in await cache.changes(0) if c.action == "reindex"]
        assert sorted(name for name in changed if name) == many

    async def test_what_a_follower_saw_can_be_read(self, cache: Cache) -> None:
        """Whoever has seen a change reads a project that is at least as new."""
        await cache.save_project(make_project(), CHANGE)

        async def write() -> None:
            for n in range(30):
                await cache.save(make_file(f"1.{n}"), CHANGE)

        writing = asyncio.create_task(write())
        serial = 0
        while not writing.done():
            serial = await cache.serial()
            found = await cache.project(ALPHA)
            assert found is not None
            assert found.serial >= serial
            assert len(found.files) == found.serial - 1
            await asyncio.sleep(0)
        await writing

    async def test_cancelled_writers_leave_whole_changes(self, cache: Cache) -> None:
        """Writers cancelled at any moment leave nothing half done, and nothing that hangs."""
        await cache.save_project(make_project(), CHANGE)

        async def write(n: int) -> None:
            file = make_file(f"1.{n}")
            await cache.save(file, make_change(filename=file.filename))
            await cache.project(ALPHA)

        for batch in range(10):
            tasks = [asyncio.create_task(write(batch * 5 + n)) for n in range(5)]
            await asyncio.sleep(random.uniform(0, 0.01))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await write(999)
        await assert_whole(cache)
