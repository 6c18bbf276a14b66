"""Grants that are set while the name of their project is claimed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.access.granting import bind_those_that_came, grant
from app.access.sql import SqlAccess, connect
from app.models import Permission
from app.testing.access import FLASK, PASSWORD, READ
from tests.access.conftest import CHEAP

ALICE = "user:alice"


class Claimed:
    """The name is free when it is first looked at; whoever claims it comes right after that."""

    def __init__(self, access: SqlAccess) -> None:
        self._access, self._looked = access, False

    async def generation(self, project: object) -> str | None:
        """As the index tells it."""
        if self._looked:
            return "g1"
        self._looked = True
        await self._access.bind(FLASK, "g1")
        return None


@pytest.fixture
async def access(tmp_path: Path) -> AsyncIterator[SqlAccess]:
    """Users of the test's own."""
    async with connect(f"sqlite+aiosqlite:///{tmp_path}/access.db", CHEAP) as access:
        await access.add_user("alice", PASSWORD)
        yield access


async def test_a_grant_is_of_the_generation_that_came_meanwhile(access: SqlAccess) -> None:
    """And of no later one, however often the project is deleted and its name taken again."""
    rights = frozenset({READ})
    assert await grant(access, Claimed(access).generation, FLASK, ALICE, rights) == "g1"
    assert await access.grants(FLASK, "g1") == {ALICE: rights}
    await access.forget(FLASK, "g1")
    await access.bind(FLASK, "g2")
    assert await access.grants(FLASK, "g2") == {}


async def test_what_is_taken_away_is_taken_from_the_generation_that_came(
    access: SqlAccess,
) -> None:
    """A grant that waited for the project is bound at the claim, and goes from there."""
    await access.grant(FLASK, "", ALICE, frozenset({Permission.MANAGE}))
    nothing = frozenset[Permission]()
    assert await grant(access, Claimed(access).generation, FLASK, ALICE, nothing) == "g1"
    assert await access.grants(FLASK, "g1") == {}


async def test_a_free_name_stays_free(access: SqlAccess) -> None:
    """What was granted waits for whoever comes first."""

    async def free(project: object) -> str | None:
        return None

    assert await grant(access, free, FLASK, ALICE, frozenset({READ})) is None
    await bind_those_that_came(access, free, [FLASK])
    assert await access.grants(FLASK, None) == {ALICE: {READ}}
    await access.bind(FLASK, "g1")
    assert await access.grants(FLASK, "g1") == {ALICE: {READ}}
