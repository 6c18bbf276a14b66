"""Searching 100,000 projects, in each kind of cache: names and summaries, found often or never.

Beside it stands the list of projects that the service keeps, in which it looks where a cache has
no index. Ratios are to SQLite's; the memory is that of the process, another one for each kind.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from statistics import median

from app.cache.base import Cache, Query
from app.index import Index, listed
from app.models import Project
from app.storage.memory import connect
from benchmarks import caches, filled
from benchmarks.report import Figure, parser, say, show
from benchmarks.server import MIB, memory

_TEXT = """
fast simple typed async small client server parser library toolkit for with and the of your data
cloud storage package index python http json table chart model test plugin wrapper modern pure
native binding command line framework schema query cache queue stream
"""
WORDS = _TEXT.split()
QUERIES = {
    "a name, found once": Query(names=("project-04711",)),
    "part of a name, found often": Query(names=("99",)),
    "a word of summaries, found seldom": Query(summaries=("zebra",)),
    "a word of summaries, found often": Query(summaries=("stream",)),
    "two words": Query(summaries=("stream", "zebra"), operator="and"),
    "two characters": Query(summaries=("zq",)),
    "nothing": Query(names=("nowhere",), summaries=("nowhere",)),
}
LIMIT = 100


def main() -> None:
    """Measure."""
    arguments = parser(__doc__)
    arguments.add_argument("--projects", type=int, default=100_000)
    arguments.add_argument("--times", type=int, default=7, help="of each search (7)")
    arguments.add_argument("kinds", nargs="*", help=f"of {caches.KINDS}; all")
    chosen = arguments.parse_args()
    kinds = caches.chosen(chosen.kinds)
    if len(kinds) == 1:
        figures = asyncio.run(_one(kinds[0], chosen.projects, chosen.times))
    else:
        numbers = ("--projects", str(chosen.projects), "--times", str(chosen.times))
        every = {}
        for kind in kinds:
            say(f"{kind}: {chosen.projects} projects")
            every[kind] = caches.apart("cache_search", kind, *numbers)
        figures = caches.compared(every)
    show("cache_search", figures, as_json=chosen.json)


async def _one(kind: str, projects: int, times: int) -> list[Figure]:
    async with caches.servers(), caches.opened(kind) as cache:
        await fill(cache, projects)
        found = await _searches(cache, times)
    return [*found, Figure("memory of the process, peak", memory(os.getpid()).peak / MIB, "MiB")]


async def fill(cache: Cache, projects: int) -> None:
    """So many projects of one file, each with a summary of some words."""
    change = filled.change("reindex")
    made = _described(projects)
    while some := [project for _, project in zip(range(1000), made, strict=False)]:
        await cache.restore(some, change)


def _described(projects: int) -> Iterator[Project]:
    choose = random.Random(4711)
    for number, project in enumerate(filled.projects(projects, files=1)):
        words = choose.choices(WORDS, k=choose.randint(4, 14))
        rare = [] if number % 1000 else ["zebra"]
        yield filled.described(project, " ".join([*words, *rare]).capitalize())


async def _searches(cache: Cache, times: int) -> list[Figure]:
    figures = []
    for label, query in QUERIES.items():
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            found = await cache.search(query, limit=LIMIT)
            seconds.append(time.perf_counter() - began)
        figures.append(Figure(f"{label} ({len(found)})", median(seconds) * 1000, "ms"))
    began = time.perf_counter()
    await cache.projects()
    figures.append(Figure("the whole list", (time.perf_counter() - began) * 1000, "ms"))
    return [*figures, *await _at_hand(cache, times)]


async def _at_hand(cache: Cache, times: int) -> list[Figure]:
    """Of the list that the service keeps: how long it takes to be brought up to date, to search."""
    async with connect("memory:", {}) as storage:
        await cache.set_built()
        index = Index(storage, cache)
        await index.listing()
        amended, searched = [], []
        for number in range(times):
            await cache.restore(
                [filled.described(next(filled.projects(1, files=1)), f"Other zebra {number}")],
                filled.change("reindex"),
            )
            began = time.perf_counter()
            listing = await index.listing()
            amended.append(time.perf_counter() - began)
            began = time.perf_counter()
            await asyncio.to_thread(listed.found, listing.projects, QUERIES["nothing"], "", LIMIT)
            searched.append(time.perf_counter() - began)
    return [
        Figure("the list at hand, after one change", median(amended) * 1000, "ms"),
        Figure("a search of the list at hand, nothing", median(searched) * 1000, "ms"),
    ]


if __name__ == "__main__":
    main()
