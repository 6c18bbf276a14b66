"""What a cache promises further that several processes may open."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName

from app import plugins
from app.cache.base import Cache
from app.testing.cache.asking import assert_whole, everything, follow, names
from app.testing.cache.nouns import ALPHA, CHANGE, make_change, make_file, make_project

WRITER = Path(__file__).parents[1] / "writer.py"
PATIENCE = 60
"""Seconds within which a follower must have seen what was written, on a busy machine too."""


class SharedCacheContract:
    """Connections of one process and of several agree, whatever happens to one of them."""

    async def test_another_opening_finds_all(self, url: str, options: Mapping[str, Any]) -> None:
        """What one opening wrote the next one reads, serials and completeness included."""
        async with opened(url, options) as cache:
            assert not await cache.built()
            await cache.restore([make_project(ALPHA, make_file(), serial=70)], CHANGE)
            await cache.set_built()
            before = await everything(cache)
        async with opened(url, options) as cache:
            assert await everything(cache) == before
            assert await cache.built()
            assert await cache.record(CHANGE) == 72

    async def test_writes_are_read_elsewhere_at_once(
        self, url: str, options: Mapping[str, Any]
    ) -> None:
        """Once a write is answered every connection shows it, a clear included."""
        async with opened(url, options) as one, opened(url, options) as other:
            await one.built()
            await one.save_project(make_project(), CHANGE)
            serials = []
            for n in range(10):
                writing, reading = (one, other) if n % 2 else (other, one)
                serial = await writing.save(make_file(f"1.{n}"), CHANGE)
                found = await reading.project(ALPHA)
                assert found is not None
                assert (found.serial, len(found.files)) == (serial, n + 1)
                assert [c.serial for c in await reading.changes(serial - 1)] == [serial]
                serials.append(serial)
            await one.set_built()
            assert await other.built()
            await one.clear()
            assert not await other.built()
            assert await other.project(ALPHA) is None
            assert await names(other) == []
            assert await other.record(CHANGE) == serials[-1] + 1 == await one.serial()

    async def test_eight_connections_lose_nothing(
        self, url: str, options: Mapping[str, Any]
    ) -> None:
        """Eight writers, each on a connection of its own: no serial twice, nothing missed."""
        async with several(url, options, 9) as (reader, *writers):
            await reader.save_project(make_project(), CHANGE)

            async def write(number: int, cache: Cache) -> list[int]:
                files = [make_file(f"{n}+{number}") for n in range(6)]
                changes = [make_change(filename=file.filename) for file in files]
                return [await cache.save(*pair) for pair in zip(files, changes, strict=True)]

            following = asyncio.create_task(follow(reader, 49))
            given = await asyncio.gather(*(write(*pair) for pair in enumerate(writers)))
            serials = sorted(chain.from_iterable(given))
            assert serials == list(range(2, 50))
            assert await asyncio.wait_for(following, PATIENCE) == [1, *serials]
            await assert_whole(reader)

    async def test_the_newest_event_wins_between_connections(
        self, url: str, options: Mapping[str, Any]
    ) -> None:
        """Of eight connections that save one file and one project the greatest sequence stays."""
        async with several(url, options, 8) as caches:
            await caches[0].save_project(make_project(), CHANGE)

            async def write(cache: Cache, sequence: int) -> None:
                await cache.save(make_file(sequence=sequence, comment=str(sequence)), CHANGE)
                await cache.save_project(
                    make_project(sequence=sequence, status_reason=str(sequence)), CHANGE
                )

            sequences = (5, 3, 9, 2, 7, 4, 6, 8)
            await asyncio.gather(*map(write, caches, sequences))
            for cache in caches:
                found = await cache.project(ALPHA)
                assert found is not None
                assert (found.status_reason, found.files[0].comment) == ("9", "9")
                assert found.serial == (await cache.changes(0))[-1].serial

    async def test_two_repairs_at_once(self, url: str, options: Mapping[str, Any]) -> None:
        """What two connections restore at once has one change a project, and none by half."""
        every = [NormalizedName(f"p{n:02}") for n in range(40)]
        projects = [make_project(n, make_file("1.0", n), make_file("2.0", n)) for n in every]
        async with several(url, options, 3) as (one, other, reader):
            following = asyncio.create_task(follow(reader, 40))
            differing = await asyncio.gather(
                one.restore(projects, CHANGE), other.restore(projects[::-1], CHANGE)
            )
            assert sum(differing) == 40
            assert await asyncio.wait_for(following, PATIENCE) == list(range(1, 41))
            assert sorted(str(c.project) for c in await reader.changes(0)) == every
            for project in projects:
                found = await reader.project(project.name)
                assert found is not None
                assert {f.version for f in found.files} == {"1.0", "2.0"}

    async def test_processes_lose_nothing(self, url: str, options: Mapping[str, Any]) -> None:
        """Eight writers in four processes: a follower sees every change, and nothing is lost."""
        async with opened(url, options) as cache:
            await cache.save_project(make_project(), CHANGE)
            following = asyncio.create_task(follow(cache, 65))
            writers = [await _writer(url, options, f"w{n}", 8) for n in range(4)]
            printed = [await writer.communicate() for writer in writers]
            assert [writer.returncode for writer in writers] == [0] * 4
            given = sorted(int(line) for out, _ in printed for line in out.split())
            assert given == list(range(2, 66))
            assert await asyncio.wait_for(following, PATIENCE) == [1, *given]
            await assert_whole(cache)

    async def test_a_killed_writer_leaves_whole_changes(
        self, url: str, options: Mapping[str, Any]
    ) -> None:
        """SIGKILL at any moment: file, change and serial are there or are not, together, and
        those answered are."""
        printed: list[int] = []
        for turn in range(3):
            writer = await _writer(url, options, f"r{turn}", 0)
            assert writer.stdout is not None
            printed += [int(await writer.stdout.readline()) for _ in range(8 + 3 * turn)]
            await asyncio.sleep(random.uniform(0, 0.005))
            writer.kill()
            printed += [int(line) for line in (await writer.stdout.read()).split(b"\n") if line]
            await writer.wait()
            async with opened(url, options) as cache:
                await assert_whole(cache)
                assert {c.serial for c in await cache.changes(0)} >= set(printed)
                serial, after = await cache.serial(), make_file(f"9.{turn}")
                change = make_change(filename=after.filename)
                assert await cache.save(after, change) == serial + 1


@asynccontextmanager
async def opened(url: str, options: Mapping[str, Any]) -> AsyncIterator[Cache]:
    """The cache that the URL names."""
    async with plugins.backend("cache", url)(url, options) as cache:
        yield cache


@asynccontextmanager
async def several(
    url: str, options: Mapping[str, Any], number: int
) -> AsyncIterator[tuple[Cache, ...]]:
    """The same, opened so many times."""
    async with AsyncExitStack() as stack:
        caches = [await stack.enter_async_context(opened(url, options)) for _ in range(number)]
        yield tuple(caches)


async def _writer(url: str, options: Mapping[str, Any], name: str, total: int) -> Process:
    words = (url, json.dumps(dict(options)), name, str(total))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", str(WRITER), *words, stdout=PIPE
    )
