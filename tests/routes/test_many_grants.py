"""A list of projects for somebody with many grants costs no question for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName
from sqlalchemy import Engine, event

from app.access import tables
from app.access.base import People
from app.cache import sql
from app.cache.schema import files, projects
from app.models import Permission
from app.testing.cache.nouns import CHANGE, FIRST, make_file, make_project
from tests.routes.site import ADMIN, site

PROJECTS, GRANTS = 1000, 200
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


@contextmanager
def counting() -> Iterator[list[str]]:
    """The statements of all engines that read grants or projects.

    What only asks how new the list of projects is, whoever it is for, is none.
    """
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        reads = any(table.name in statement for table in (tables.grants, projects, files))
        if reads and not statement.startswith("SELECT coalesce(max("):
            asked.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def fill(url: str) -> None:
    """A complete cache with projects of one file each."""
    made = [
        make_project(name, make_file(project=name))
        for name in (NormalizedName(f"project-{number:04}") for number in range(PROJECTS))
    ]
    async with sql.connect(url, {}) as cache:
        await cache.restore(made, CHANGE)
        await cache.set_built()


def test_a_thousand_projects_for_two_hundred_grants_are_two_questions(tmp_path: Path) -> None:
    """One for the projects, if they are not known yet, and one for all grants; each sees theirs."""
    cache = f"sqlite+aiosqlite:///{tmp_path}/cache.db"
    asyncio.run(fill(cache))
    with site(tmp_path, cache=cache, reconcile_interval="1 h", page_refresh="1 h") as place:
        alice = place.user("alice")
        bob = place.user("bob")
        own = {f"project-{number:04}" for number in range(0, PROJECTS, PROJECTS // GRANTS)}
        granted = {"user:alice": frozenset({Permission.READ})}
        grants = {(NormalizedName(name), FIRST): granted for name in own}
        others = {"user:nobody": frozenset({Permission.READ})}
        hidden = [f"project-{number:04}" for number in range(PROJECTS)]
        grants |= {(NormalizedName(one), FIRST): others for one in hidden if one not in own}
        place.access(lambda access: access.load(People(grants=grants)))
        for who in (alice, bob, ADMIN):  # their passwords are known from here on
            place.ask("GET", "/api/v1/account", auth=who).raise_for_status()
        for who, seen in ((alice, own), (bob, set()), (ADMIN, set(hidden))):
            with counting() as asked:
                answer = place.ask("GET", "/simple/", auth=who, headers=JSON)
            assert {line["name"].lower() for line in answer.json()["projects"]} == seen
            assert len([one for one in asked if tables.grants.name in one]) <= 1, asked
            assert len(asked) <= 2, asked
