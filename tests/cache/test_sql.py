"""The cache in a SQL database: its statements, its processes, and what may happen to its tables."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from app.cache import sql
from app.cache.base import Cache
from tests.contracts.cache import (
    ALPHA,
    CHANGE,
    everything,
    follow,
    make_change,
    make_file,
    make_project,
)


async def start_writer(url: str, name: str, total: int) -> Process:
    """A process that saves ``total`` files (0: until it is killed)."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.cache.writer", url, name, str(total), stdout=PIPE
    )


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def assert_whole(cache: Cache) -> None:
    """Files, changes and serials of the project alpha tell the same story."""
    project = await cache.project(ALPHA)
    assert project is not None
    changes = await cache.changes(0, limit=1_000_000)
    assert [c.serial for c in changes] == list(range(1, len(changes) + 1))
    assert {c.filename for c in changes[1:]} == {f.filename for f in project.files}
    assert len(changes) == len(project.files) + 1
    assert project.serial == changes[-1].serial == await cache.serial()


async def test_a_project_is_one_statement(url: str) -> None:
    """However many its files, a project costs one round trip."""
    async with sql.connect(url, {}) as cache:
        files = [make_file(f"1.{n}") for n in range(200)]
        await cache.restore([make_project(ALPHA, *files)], CHANGE)
        with statements() as seen:
            found = await cache.project(ALPHA)
        assert found is not None
        assert len(found.files) == 200
        assert len(seen) == 1
        with statements() as seen:
            await cache.projects()
        assert len(seen) == 1


async def test_an_upload_does_not_read_the_other_files(url: str) -> None:
    """Saving one more file costs the same statements however many there are."""
    costs = []
    async with sql.connect(url, {}) as cache:
        await cache.save_project(make_project(), CHANGE)
        for n in range(3):
            with statements() as seen:
                await cache.save(make_file(f"1.{n}"), CHANGE)
            costs.append(seen)
    assert costs[0] == costs[1] == costs[2]


async def test_a_reopened_file_keeps_all(url: str) -> None:
    """What one opening wrote the next one finds, serials included."""
    async with sql.connect(url, {}) as cache:
        await cache.restore([make_project(ALPHA, make_file(), serial=70)], CHANGE)
        await cache.set_built()
        before = await everything(cache)
    async with sql.connect(url, {}) as cache:
        assert await everything(cache) == before
        assert await cache.built()
        assert await cache.record(CHANGE) == 72


async def test_two_openings_share_one_file(url: str) -> None:
    """What one opening has written another one reads at once."""
    async with sql.connect(url, {}) as one, sql.connect(url, {}) as other:
        await one.save_project(make_project(), CHANGE)
        serial = await other.save(make_file(), CHANGE)
        found = await one.project(ALPHA)
        assert found is not None
        assert found.serial == serial


async def test_four_processes_lose_nothing(url: str) -> None:
    """Eight writers in four processes: a follower sees every change, and nothing is lost."""
    async with sql.connect(url, {}) as cache:
        await cache.save_project(make_project(), CHANGE)
        following = asyncio.create_task(follow(cache, 201))
        writers = [await start_writer(url, f"w{n}", 25) for n in range(4)]
        printed = [await writer.communicate() for writer in writers]
        assert [writer.returncode for writer in writers] == [0] * 4
        given = sorted(int(line) for out, _ in printed for line in out.split())
        assert await asyncio.wait_for(following, 10) == [1, *given]
        await assert_whole(cache)


async def test_a_killed_writer_leaves_whole_changes(url: str) -> None:
    """SIGKILL between any two instructions: file, change and serial are there or are not,
    together, and those answered are."""
    printed: list[int] = []
    for round_ in range(3):
        writer = await start_writer(url, f"r{round_}", 0)
        assert writer.stdout is not None
        printed += [int(await writer.stdout.readline()) for _ in range(8 + 3 * round_)]
        await asyncio.sleep(random.uniform(0, 0.005))
        writer.kill()
        printed += [int(line) for line in (await writer.stdout.read()).split(b"\n") if line]
        await writer.wait()
        async with sql.connect(url, {}) as cache:
            await assert_whole(cache)
            assert await cache.serial() >= printed[-1]
            assert {c.serial for c in await cache.changes(0)} >= set(printed)


async def test_cancelled_writers_leave_whole_changes(url: str) -> None:
    """Writers cancelled at any moment leave nothing half done, and no connection unusable."""
    async with sql.connect(url, {}) as cache:
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
