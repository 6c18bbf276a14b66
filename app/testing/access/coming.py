"""What is promised of who registers, who is let in, and the first admin."""

from __future__ import annotations

from app.access.base import EditableAccess
from app.access.bootstrap import ensure_admin
from app.testing.access.nouns import (
    OTHER,
    PASSWORD,
)


class Coming:
    """Registration, approval, and the first admin."""

    async def test_the_pending_are_nobody_until_approved(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """Who registered is let in by approval alone; approving again changes nothing."""
        await access.add_user("alice", PASSWORD, pending=True)
        assert await access.identify("alice", PASSWORD) is None
        assert await access.known("alice") is None
        user = await access.user("alice")
        assert user is not None
        assert (user.pending, user.disabled) == (True, False)
        await access.set_disabled("alice", False)
        assert await access.identify("alice", PASSWORD) is None
        await elsewhere.approve("Alice")
        await elsewhere.approve("alice")
        assert await access.identify("alice", PASSWORD) is not None
        user = await access.user("alice")
        assert user is not None
        assert (user.pending, user.disabled) == (False, False)

    async def test_approval_lets_nobody_in_whom_an_admin_disabled(
        self, access: EditableAccess
    ) -> None:
        """Pending and disabled are two things: each is taken back for itself."""
        await access.add_user("alice", PASSWORD, pending=True)
        await access.set_disabled("alice", True)
        user = await access.user("alice")
        assert user is not None
        assert (user.pending, user.disabled) == (True, True)
        await access.approve("alice")
        assert await access.identify("alice", PASSWORD) is None
        await access.set_disabled("alice", False)
        assert await access.identify("alice", PASSWORD) is not None

    async def test_who_is_known_is_who_may_come_in(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """Proved elsewhere, somebody is who they are as of now; disabled or deleted, nobody."""
        await access.add_user("alice", PASSWORD, admin=True)
        assert await access.known("Alice") == await access.identify("alice", PASSWORD)
        await elsewhere.set_disabled("alice", True)
        assert await access.known("alice") is None
        await elsewhere.set_disabled("alice", False)
        assert await access.known("alice") is not None
        await elsewhere.delete_user("alice")
        assert await access.known("alice") is None

    async def test_registration_is_closed_until_opened(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """Nobody may register where no admin said so; what one said holds for every connection."""
        assert not await access.registration()
        for open in (True, True, False, False):
            await access.set_registration(open)
            assert await elsewhere.registration() is open

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
