"""32 writers at once in four processes, in each kind of cache that processes may share.

Each writer saves files of a project of its own, as uploads do; then all save files of one
project, as a release of many wheels does. Ratios are to SQLite's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app import plugins
from app.models import Project
from benchmarks import caches, filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import ROOT

PROCESSES, WRITERS = 4, 8
EACH = 10
"""Files that one writer saves."""
WORK = ("projects of their own", "one project")


def main() -> None:
    """Measure, or write as one of the processes that are measured."""
    if sys.argv[1:2] == ["write"]:
        asyncio.run(_write(sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])))
        return
    arguments = parser(__doc__)
    arguments.add_argument("kinds", nargs="*", help=f"of {caches.SHARED}; all")
    chosen = arguments.parse_args()
    figures = asyncio.run(_all(caches.chosen(chosen.kinds, caches.SHARED)))
    show("cache_writers", figures, as_json=chosen.json)


async def _all(kinds: Sequence[str]) -> list[Figure]:
    every = {}
    async with caches.servers():
        for kind in kinds:
            say(kind)
            async with caches.url(kind) as url:
                every[kind] = await _one(url, caches.options(kind))
    return caches.compared(every)


async def _one(url: str, options: Mapping[str, Any]) -> list[Figure]:
    async with plugins.backend("cache", url)(url, options) as cache:
        await cache.save_project(_project(0, 0), filled.change("claim"))
        writers = [await _started(url, options, number) for number in range(PROCESSES)]
        for writer in writers:
            await _said(writer, "ready")
        figures = []
        for work in WORK:
            began, before = time.perf_counter(), await cache.serial()
            for writer in writers:
                _tell(writer, work)
            for writer in writers:
                await _said(writer, "done")
            seconds = time.perf_counter() - began
            saved = await cache.serial() - before
            figures.append(Figure(f"saves, {work}", saved / seconds, "/s"))
        for writer in writers:
            await writer.communicate(b"")
    return figures


async def _started(url: str, options: Mapping[str, Any], number: int) -> Process:
    words = ("-m", "benchmarks.cache_writers", "write", url, json.dumps(dict(options)), str(number))
    return await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, stdin=PIPE, stdout=PIPE
    )


async def _said(writer: Process, word: str) -> None:
    assert writer.stdout is not None
    if (await writer.stdout.readline()).decode().strip() != word:
        raise SystemExit("A writer ended early.")


def _tell(writer: Process, word: str) -> None:
    assert writer.stdin is not None
    writer.stdin.write(f"{word}\n".encode())


async def _write(url: str, options: Mapping[str, Any], process: int) -> None:
    change = filled.change("publish")
    async with plugins.backend("cache", url)(url, options) as cache:

        async def save(number: int, work: str) -> None:
            project = _project(number if work == WORK[0] else 0, number)
            await cache.save_project(project, change)
            for file in project.files:
                await cache.save(file, change)

        print("ready", flush=True)
        while work := (await asyncio.to_thread(sys.stdin.readline)).strip():
            numbers = range(1 + process * WRITERS, 1 + (process + 1) * WRITERS)
            await asyncio.gather(*(save(number, work) for number in numbers))
            print("done", flush=True)


def _project(number: int, writer: int) -> Project:
    """A project whose files are named after the writer too."""
    (made,) = filled.projects(1, files=EACH)
    name = filled.name(number)
    files = tuple(
        replace(file, project=name, filename=f"{writer}-{file.filename}") for file in made.files
    )
    return replace(made, name=name, files=files)


if __name__ == "__main__":
    main()
