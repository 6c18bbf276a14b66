"""What is promised of users and their passwords."""

from __future__ import annotations

import pytest

from app import errors
from app.access.base import EditableAccess
from app.models import Actor, Identity
from app.testing.access.nouns import (
    FLASK,
    OTHER,
    PASSWORD,
    READ,
    WRONG,
)


class Users:
    """Users: names, passwords, edits."""

    async def test_the_right_password_identifies(self, access: EditableAccess) -> None:
        """A user with the right password is known, with the principals that follow from it."""
        await access.add_user("alice", PASSWORD)
        assert await access.identify("alice", PASSWORD) == Identity(
            actor=Actor(kind="user", id="alice"),
            principals=frozenset({"authenticated", "user:alice"}),
            admin=False,
        )

    async def test_an_admin_is_known_as_one(self, access: EditableAccess) -> None:
        """Who was added as an admin, or made one, is one until that is revoked."""
        await access.add_user("alice", PASSWORD, admin=True)
        await access.add_user("bob", PASSWORD)
        await access.set_admin("alice", False)
        await access.set_admin("bob", True)
        alice = await access.identify("alice", PASSWORD)
        bob = await access.identify("bob", PASSWORD)
        assert alice is not None
        assert bob is not None
        assert (alice.admin, bob.admin) == (False, True)

    @pytest.mark.parametrize("wrong", WRONG, ids=lambda password: ascii(password[:24]))
    async def test_a_wrong_password_identifies_nobody(
        self, access: EditableAccess, wrong: str
    ) -> None:
        """Any other password is nobody's, however long, empty or malformed."""
        await access.add_user("alice", PASSWORD)
        assert await access.identify("alice", wrong) is None

    @pytest.mark.parametrize(
        "name",
        ["", "bob", "alice ", "ali", "%", "a\0lice", "é" * 70, "x" * 100_000, "\ud800"],
        ids=lambda name: ascii(name[:24]),
    )
    async def test_an_unknown_user_is_nobody(self, access: EditableAccess, name: str) -> None:
        """A name that nobody has, or that cannot be one, is nobody with any password."""
        await access.add_user("alice", PASSWORD)
        assert await access.identify(name, PASSWORD) is None
        assert await access.user(name) is None

    async def test_names_know_no_case(self, access: EditableAccess) -> None:
        """A user has one name, in lower case, however it is spelled when asked for."""
        await access.add_user("Alice.B@Example", PASSWORD)
        assert [user.name for user in await access.users()] == ["alice.b@example"]
        identity = await access.identify("ALICE.b@example", PASSWORD)
        assert identity is not None
        assert identity.actor.id == "alice.b@example"
        with pytest.raises(errors.UserExists):
            await access.add_user("alice.b@EXAMPLE", PASSWORD)

    async def test_composed_and_decomposed_passwords_are_one(self, access: EditableAccess) -> None:
        """A password typed on another keyboard, decomposed, is the same password (NFC)."""
        await access.add_user("alice", "pässphräse, wörthy")
        assert await access.identify("alice", "pa\u0308ssphra\u0308se, wo\u0308rthy") is not None

    @pytest.mark.parametrize("name", ["", "-a", ".a", "__token__", "a b", "a:b", "é", "a" * 65])
    async def test_a_malformed_name_is_refused(self, access: EditableAccess, name: str) -> None:
        """Nobody is added under a name outside the grammar."""
        with pytest.raises(errors.InvalidName):
            await access.add_user(name, PASSWORD)
        assert await access.users() == []

    @pytest.mark.parametrize(
        "password", ["", "short", "x" * 1025, "long enough\0but", "password1234"]
    )
    async def test_a_bad_new_password_is_refused(
        self, access: EditableAccess, password: str
    ) -> None:
        """Too short, too long, NUL or too common: refused for new users and for changes."""
        with pytest.raises(errors.InvalidPassword):
            await access.add_user("alice", password)
        assert await access.users() == []
        await access.add_user("alice", PASSWORD)
        with pytest.raises(errors.InvalidPassword):
            await access.set_password("alice", password)
        assert await access.identify("alice", PASSWORD) is not None

    async def test_a_user_is_added_once(self, access: EditableAccess) -> None:
        """Adding a user again is refused and changes nothing."""
        await access.add_user("alice", PASSWORD)
        with pytest.raises(errors.UserExists):
            await access.add_user("alice", OTHER, admin=True)
        assert await access.identify("alice", OTHER) is None
        assert await access.identify("alice", PASSWORD) is not None

    async def test_users_are_listed_by_name(self, access: EditableAccess) -> None:
        """Users are listed by name, with what they are."""
        for name in ("carol", "alice", "bob"):
            await access.add_user(name, PASSWORD, admin=name == "bob")
        await access.set_disabled("carol", True)
        listed = [(user.name, user.admin, user.disabled) for user in await access.users()]
        assert listed == [("alice", False, False), ("bob", True, False), ("carol", False, True)]

    async def test_edits_of_nobody_are_refused(self, access: EditableAccess) -> None:
        """Every edit of a user who is not there says so."""
        with pytest.raises(errors.UserNotFound):
            await access.set_password("ghost", PASSWORD)
        with pytest.raises(errors.UserNotFound):
            await access.set_admin("ghost", True)
        with pytest.raises(errors.UserNotFound):
            await access.set_disabled("ghost", True)
        with pytest.raises(errors.UserNotFound):
            await access.delete_user("ghost")
        with pytest.raises(errors.UserNotFound):
            await access.approve("ghost")
        with pytest.raises(errors.UserNotFound):
            await access.grant(FLASK, "g1", "user:ghost", frozenset({READ}))
        await access.add_group("web")
        with pytest.raises(errors.UserNotFound):
            await access.set_member("web", "ghost", True)
        assert await access.known("ghost") is None

    async def test_a_new_password_holds_elsewhere_at_once(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """Once changed through one connection, the old password is dead through the other."""
        await access.add_user("alice", PASSWORD)
        assert await access.identify("alice", PASSWORD) is not None
        await elsewhere.set_password("alice", OTHER)
        assert await access.identify("alice", PASSWORD) is None
        assert await access.identify("alice", OTHER) is not None

    async def test_the_disabled_are_nobody_elsewhere_at_once(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """Disabled or deleted through one connection, a user is nobody through the other."""
        await access.add_user("alice", PASSWORD)
        assert await access.identify("alice", PASSWORD) is not None
        await elsewhere.set_disabled("alice", True)
        assert await access.identify("alice", PASSWORD) is None
        await elsewhere.set_disabled("alice", False)
        assert await access.identify("alice", PASSWORD) is not None
        await elsewhere.delete_user("alice")
        assert await access.identify("alice", PASSWORD) is None

    async def test_a_name_taken_again_is_somebody_else(self, access: EditableAccess) -> None:
        """Neither password nor grants of a deleted user come back with the name."""
        await access.add_user("alice", PASSWORD)
        await access.grant(FLASK, "g1", "user:alice", frozenset({READ}))
        assert await access.identify("alice", PASSWORD) is not None
        await access.delete_user("alice")
        await access.add_user("alice", OTHER)
        assert await access.identify("alice", PASSWORD) is None
        assert await access.grants(FLASK, "g1") == {}
