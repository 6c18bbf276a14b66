"""What every editable access backend promises."""

from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.access.base import EditableAccess
from app.access.bootstrap import ensure_admin
from app.models import Actor, Identity, Permission

FLASK = NormalizedName("flask")
PASSWORD = "a fine long passphrase"
OTHER = "quite another passphrase"
WRONG = [
    *("", " ", OTHER, PASSWORD + " ", PASSWORD[:-1], PASSWORD.upper(), PASSWORD + "\0"),
    *("x" * 1025, "x" * 1_000_000, "\ud800" * 20),
]
READ, UPLOAD, MANAGE = Permission.READ, Permission.UPLOAD, Permission.MANAGE


class AccessContract:
    """Run it where there are fixtures ``access`` (an empty backend) and ``elsewhere``.

    ``elsewhere`` is a second connection to the same users, as another process has one.
    """

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
            await access.grant(FLASK, "g1", "user:ghost", frozenset({READ}))

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

    async def test_grants_are_of_one_generation(self, access: EditableAccess) -> None:
        """What was granted on a project is not granted on a later one of the same name."""
        await access.grant(FLASK, "g1", "everyone", frozenset({READ}))
        await access.grant(FLASK, "g1", "group:Web", frozenset({READ, UPLOAD, MANAGE}))
        granted = {
            "everyone": frozenset({READ}),
            "group:web": frozenset({READ, UPLOAD, MANAGE}),
        }
        assert await access.grants(FLASK, "g1") == granted
        assert await access.grants(FLASK, "g2") == {}
        assert await access.grants(FLASK, None) == {}
        assert await access.grants(NormalizedName("flas"), "g1") == {}
        assert await access.all_grants() == {(FLASK, "g1"): granted}

    async def test_a_grant_replaces_the_one_before(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """Granting sets what a principal has, for every connection; nothing takes it away."""
        await access.grant(FLASK, "g1", "everyone", frozenset({READ, UPLOAD}))
        await elsewhere.grant(FLASK, "g1", "everyone", frozenset({READ}))
        assert await access.grants(FLASK, "g1") == {"everyone": frozenset({READ})}
        await elsewhere.grant(FLASK, "g1", "everyone", frozenset())
        assert await access.grants(FLASK, "g1") == {}

    @pytest.mark.parametrize("principal", ["", "alice", "user:", "user:a b", "admin", "role:x"])
    async def test_only_principals_are_granted_anything(
        self, access: EditableAccess, principal: str
    ) -> None:
        """What is no principal gets no grant."""
        with pytest.raises(errors.InvalidName):
            await access.grant(FLASK, "g1", principal, frozenset({READ}))
        assert await access.all_grants() == {}

    async def test_the_first_admin_gets_a_random_password(self, access: EditableAccess) -> None:
        """Where nobody exists, admin is made, and the password is told this once."""
        password = await ensure_admin(access, None)
        assert password is not None
        identity = await access.identify("admin", password)
        assert identity is not None
        assert identity.admin
        assert await ensure_admin(access, None) is None

    async def test_no_admin_is_made_beside_users(self, access: EditableAccess) -> None:
        """Where somebody exists, nobody is made without being asked for."""
        await access.add_user("alice", PASSWORD)
        assert await ensure_admin(access, None) is None
        assert [user.name for user in await access.users()] == ["alice"]

    async def test_a_given_password_creates_or_resets_admin(self, access: EditableAccess) -> None:
        """With a password, admin ends up enabled, an admin, and with that password."""
        assert await ensure_admin(access, PASSWORD) is None
        assert await access.identify("admin", PASSWORD) is not None
        await access.set_admin("admin", False)
        await access.set_disabled("admin", True)
        assert await ensure_admin(access, OTHER) is None
        identity = await access.identify("admin", OTHER)
        assert identity is not None
        assert identity.admin
        assert await access.identify("admin", PASSWORD) is None
