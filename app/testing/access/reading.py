"""What is promised by every backend, edited here or elsewhere."""

from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from app.access.base import UNBOUND, Access
from app.models import Actor, Identity
from app.testing.access.nouns import (
    FLASK,
    READERS,
    WRONG,
)


class ReadingContract:
    """Run it where there is a fixture ``reading``: an Access that holds READERS."""

    async def test_whoever_is_let_in_is_known(self, reading: Access) -> None:
        """With the right password, or proved elsewhere: the same identity, however spelled."""
        ada = Identity(
            actor=Actor(kind="user", id="ada"),
            principals=frozenset({"authenticated", "user:ada", "group:ops"}),
            admin=True,
        )
        for name in ("ada", "Ada", "ADA"):
            assert await reading.identify(name, "ada has a passphrase") == ada
            assert await reading.known(name) == ada
        bob = await reading.identify("bob", "ada has a passphrase")
        assert bob is not None
        assert not bob.admin
        assert bob.principals == {"authenticated", "user:bob"}

    @pytest.mark.parametrize("wrong", WRONG, ids=lambda password: ascii(password[:24]))
    async def test_nobody_else_is(self, reading: Access, wrong: str) -> None:
        """A wrong password is nobody's, nor is any that of somebody without, shut out, unknown."""
        for name in ("ada", "dan", "eve", "stranger", "nobody", "a b", "", "\ud800", "x" * 1000):
            assert await reading.identify(name, wrong) is None

    async def test_who_is_shut_out_is_not_known(self, reading: Access) -> None:
        """Nobody proves to be who is disabled or not there; who has no password may elsewhere."""
        assert await reading.identify("eve", "ada has a passphrase") is None
        for name in ("eve", "stranger", "nobody", "a b"):
            assert await reading.known(name) is None
        assert await reading.known("dan") is not None

    async def test_grants_are_answered(self, reading: Access) -> None:
        """By the name of the project, whichever generation has it; all of them at once, too."""
        for generation in ("g1", None):
            assert await reading.grants(FLASK, generation) == READERS.grants[FLASK, UNBOUND]
            assert await reading.grants(NormalizedName("flas"), generation) == {}
        assert await reading.all_grants() == READERS.grants

    async def test_everybody_is_given_out(self, reading: Access) -> None:
        """What is known is exported as it was brought in."""
        assert await reading.people() == READERS
