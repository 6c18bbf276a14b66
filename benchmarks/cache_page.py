"""Each kind of cache by itself: pages, writers and rebuilding, side by side in one run.

A restore of 20,000 files as a reindex makes it, a page of 200 files asked for cold, one file of
it, 32 writers at once (tasks of one process, each with a project of its own), and the memory of
the process, which is another one for each kind. Ratios are to SQLite's.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from statistics import median

from app.cache.base import Cache
from app.models import Project
from benchmarks import caches, filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, memory

PAGE = 200
PAGES = 50
WRITERS = 32
EACH = 10
PER_PROJECT = 10
BATCH = 50
"""Projects that a reindex brings at once: 500 files."""


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--files", type=int, default=20_000, help="to restore (20,000)")
    arguments.add_argument("kinds", nargs="*", help=f"of {caches.KINDS}; all")
    chosen = arguments.parse_args()
    kinds = caches.chosen(chosen.kinds)
    if len(kinds) == 1:
        figures = asyncio.run(_one(kinds[0], chosen.files))
    else:
        every = {}
        for kind in kinds:
            say(kind)
            every[kind] = caches.apart("cache_page", kind, "--files", str(chosen.files))
        figures = caches.compared(every)
    show("cache_page", figures, as_json=chosen.json)


async def _one(kind: str, files: int) -> list[Figure]:
    async with caches.servers(), caches.opened(kind) as cache:
        restored = await _restored(cache, files)
        return [restored, *await _pages(cache), await _written(cache), _memory()]


async def _restored(cache: Cache, files: int) -> Figure:
    projects = list(filled.projects(files // PER_PROJECT, files=PER_PROJECT))
    change = filled.change("reindex")
    began = time.perf_counter()
    for start in range(0, len(projects), BATCH):
        await cache.restore(projects[start : start + BATCH], change)
    return Figure("files restored", files / (time.perf_counter() - began), "files/s")


async def _pages(cache: Cache) -> list[Figure]:
    large = [_renamed(project, n) for n, project in enumerate(filled.projects(PAGES, files=PAGE))]
    await cache.restore(large, filled.change("reindex"))
    whole, single = [], []
    for project in large:
        began = time.perf_counter()
        found = await cache.project(project.name)
        whole.append(time.perf_counter() - began)
        if found is None or len(found.files) != PAGE:
            raise SystemExit("The page is not whole.")
        began = time.perf_counter()
        await cache.outline(project.name, project.files[0].filename)
        single.append(time.perf_counter() - began)
    return [
        Figure(f"page of {PAGE} files, median", median(whole) * 1000, "ms"),
        Figure("one file of it, median", median(single) * 1000, "ms"),
    ]


async def _written(cache: Cache) -> Figure:
    """Every writer has a project of its own, as uploads have."""
    change = filled.change("publish")
    made = [_renamed(p, 1000 + n) for n, p in enumerate(filled.projects(WRITERS, files=EACH))]

    async def write(project: Project) -> None:
        await cache.save_project(project, change)
        for file in project.files:
            await cache.save(file, change)

    began = time.perf_counter()
    await asyncio.gather(*map(write, made))
    seconds = time.perf_counter() - began
    return Figure(f"saves of {WRITERS} writers", WRITERS * (EACH + 1) / seconds, "/s")


def _renamed(project: Project, number: int) -> Project:
    name = filled.name(1_000_000 + number)
    files = tuple(replace(file, project=name) for file in project.files)
    return replace(project, name=name, files=files)


def _memory() -> Figure:
    """The most that this process had: libraries, the cache's own and what was asked of it."""
    return Figure("memory of the process, peak", memory(os.getpid()).peak / MIB, "MiB")


if __name__ == "__main__":
    main()
