"""The cache in a SQL database: its statements, its processes, and what may happen to its tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from app.cache import sql
from app.testing.cache import (
    ALPHA,
    CHANGE,
    make_file,
    make_project,
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
