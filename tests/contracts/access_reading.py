"""What every access backend promises, also one that is read only."""

from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.access.base import Access
from app.models import Actor, Identity

PASSWORD = "a fine long passphrase"
WRONG = [
    *("", " ", "quite another passphrase", PASSWORD + " ", PASSWORD[:-1], PASSWORD.upper()),
    *(PASSWORD + "\0", "\0", "x" * 1025, "x" * 1_000_000, "\ud800" * 20, "*", "é" * 100),
]
STRANGERS = [
    *("", "ghost", "alice ", " alice", "ali", "alic*", "*", "%", "a\0lice", "alice\0", "\0"),
    *("é" * 70, "x" * 100_000, "\ud800", "alicé", "\u0430lice", "alice\n", "alice/../bob"),
    *("alice)(uid=*", "*)(uid=*))(|(uid=*", ")(", "(", "alice)(|(cn=*)", "\\2a", "&", "#alice"),
    *("alice,ou=people", "uid=alice", "alice&username=bob", "alice%00", '"alice"', "<alice>"),
]


class ReadAccessContract:
    """Run it where there is a fixture ``readable``.

    It knows alice, of the group web-team, and bob, an admin of whatever group, both with
    PASSWORD; and none of STRANGERS.
    """

    async def test_the_right_password_identifies(self, readable: Access) -> None:
        """Whoever has the right password is known, with the principals that follow from it."""
        assert await readable.identify("alice", PASSWORD) == Identity(
            actor=Actor(kind="user", id="alice"),
            principals=frozenset({"authenticated", "user:alice", "group:web-team"}),
        )

    async def test_an_admin_is_known_as_one(self, readable: Access) -> None:
        """Admin is whom the backend says to be one, and nobody else."""
        bob = await readable.identify("bob", PASSWORD)
        assert bob is not None
        assert bob.admin
        alice = await readable.identify("alice", PASSWORD)
        assert alice is not None
        assert not alice.admin

    @pytest.mark.parametrize("wrong", WRONG, ids=lambda password: ascii(password[:24]))
    async def test_a_wrong_password_identifies_nobody(self, readable: Access, wrong: str) -> None:
        """Any other password is nobody's, before the right one was seen and after it."""
        assert await readable.identify("alice", wrong) is None
        assert await readable.identify("alice", PASSWORD) is not None
        assert await readable.identify("alice", wrong) is None

    @pytest.mark.parametrize("name", STRANGERS, ids=lambda name: ascii(name[:24]))
    async def test_a_stranger_is_nobody(self, readable: Access, name: str) -> None:
        """A name that nobody has, or that cannot be one, is nobody with any password."""
        assert await readable.identify(name, PASSWORD) is None
        assert await readable.identify(name, "") is None
        assert await readable.known(name) is None

    async def test_names_know_no_case(self, readable: Access) -> None:
        """A user is known in lower case, however the name is spelled when asked for."""
        identity = await readable.identify("ALICE", PASSWORD)
        assert identity == await readable.identify("alice", PASSWORD)
        assert identity == await readable.known("Alice")

    async def test_who_is_known_is_known_as_with_a_password(self, readable: Access) -> None:
        """Asked without a password, for it was proved elsewhere, the identity is the same."""
        for name in ("alice", "bob"):
            assert await readable.known(name) == await readable.identify(name, PASSWORD)

    async def test_all_grants_are_those_of_each_project(self, readable: Access) -> None:
        """What lists of projects are told is what each project is told."""
        for (project, generation), granted in (await readable.all_grants()).items():
            assert await readable.grants(project, generation or None) == granted
        assert await readable.grants(NormalizedName("never-granted"), "g1") == {}
        assert await readable.grants(NormalizedName("never-granted"), None) == {}

    async def test_people_are_listed_or_it_says_that_it_cannot(self, readable: Access) -> None:
        """An export has everybody, or is refused."""
        try:
            people = await readable.people()
        except errors.NotEditable:
            return
        assert {"alice", "bob"} <= {account.name for account in people.accounts}
        assert "alice" in people.groups["web-team"]
