"""Each kind of cache by itself: pages, writers and rebuilding, side by side in one run.

A page of 200 files asked for cold, one file of it, 32 writers at once (one process), a restore
of 20,000 files as a reindex makes it, and the memory of the process that did it all. Ratios are
to SQLite's.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
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
COMPARED = "sqlite"


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--files", type=int, default=20_000, help="to restore (20,000)")
    arguments.add_argument("kinds", nargs="*", help=f"of {caches.KINDS}; all")
    chosen = arguments.parse_args()
    figures = asyncio.run(_all(caches.chosen(chosen.kinds), chosen.files))
    show("cache_page", figures, as_json=chosen.json)


async def _all(kinds: Sequence[str], files: int) -> list[Figure]:
    every: dict[str, list[Figure]] = {}
    async with caches.servers():
        for kind in kinds:
            say(kind)
            async with caches.opened(kind) as cache:
                every[kind] = [
                    await _restored(cache, files),
                    *await _pages(cache),
                    await _written(cache),
                ]
            every[kind].append(Figure("memory of the process", _resident(), "MiB"))
    return [figure for kind in kinds for figure in _named(kind, every)]


def _named(kind: str, every: dict[str, list[Figure]]) -> list[Figure]:
    compared = every.get(COMPARED, every[kind])
    return [
        Figure(f"{kind}: {one.name}", one.value, f"{one.unit}  x{one.value / other.value:.2f}")
        for one, other in zip(every[kind], compared, strict=True)
    ]


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


def _resident() -> float:

    return memory(os.getpid()).resident / MIB


if __name__ == "__main__":
    main()
