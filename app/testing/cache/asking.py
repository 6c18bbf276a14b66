"""All that can be asked of a cache, in few words."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from app.cache.base import Cache, Query
from app.testing.cache.nouns import (
    ALPHA,
    BETA,
)


async def names(cache: Cache, query: Query | None = None, **page: Any) -> list[str]:
    """The names that a search (None: the list of projects) gives."""
    found = await (cache.projects(**page) if query is None else cache.search(query, **page))
    return [line.name for line in found]


async def follow(cache: Cache, total: int) -> list[int]:
    """The serials seen by a reader that polls until it has seen ``total`` changes."""
    seen: list[int] = []
    while len(seen) < total:
        news = await cache.changes(seen[-1] if seen else 0, limit=7)
        seen += [change.serial for change in news]
        await asyncio.sleep(0.01)
    return seen


async def everything(cache: Cache) -> list[object]:
    """All that can be asked of a cache with the projects alpha and beta."""
    whole = [await cache.project(name) for name in (ALPHA, BETA)]
    return [
        [replace(p, files=()) if p else None for p in whole],
        [sorted(p.files, key=lambda f: f.filename) if p else None for p in whole],
        await cache.projects(),
        await cache.search(Query(summaries=("ONE",))),
        await cache.changes(0),
        await cache.serial(),
        await cache.shown_serial(),
    ]


async def assert_whole(cache: Cache) -> None:
    """Files, changes and serials of alpha, the only project, tell the same story.

    It was saved first, and each file once, with a change that names it.
    """
    project = await cache.project(ALPHA)
    assert project is not None
    changes = await cache.changes(0, limit=1_000_000)
    assert [c.serial for c in changes] == list(range(1, len(changes) + 1))
    assert {c.filename for c in changes[1:]} == {f.filename for f in project.files}
    assert len(changes) == len(project.files) + 1
    assert project.serial == changes[-1].serial == await cache.serial()
