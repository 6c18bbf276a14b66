"""What is promised of groups and their members."""

from __future__ import annotations

import pytest

from app import errors
from app.access.base import EditableAccess
from app.testing.access.nouns import (
    FLASK,
    PASSWORD,
    READ,
)


class Groups:
    """Groups: names, members, and both taken again."""

    async def test_groups_are_principals(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """Who is in a group has its principal, with the next question, until taken out of it."""
        await access.add_user("alice", PASSWORD)
        for group in ("Web", "ops", "empty"):
            await access.add_group(group)
        await access.set_member("WEB", "Alice", True)
        await access.set_member("ops", "alice", True)
        await access.set_member("ops", "alice", True)
        identity = await elsewhere.identify("alice", PASSWORD)
        assert identity is not None
        assert identity.principals == {"authenticated", "user:alice", "group:web", "group:ops"}
        assert await elsewhere.known("ALICE") == identity
        user = await access.user("alice")
        assert user is not None
        assert user.groups == ("ops", "web")
        assert await access.users() == [user]
        assert await access.groups() == {
            "empty": frozenset(),
            "ops": frozenset({"alice"}),
            "web": frozenset({"alice"}),
        }
        await elsewhere.set_member("ops", "alice", False)
        await elsewhere.set_member("ops", "alice", False)
        identity = await access.identify("alice", PASSWORD)
        assert identity is not None
        assert identity.principals == {"authenticated", "user:alice", "group:web"}

    async def test_a_group_is_made_once(self, access: EditableAccess) -> None:
        """A group has one name, in lower case; edits of one that is not there say so."""
        await access.add_group("Web")
        with pytest.raises(errors.GroupExists):
            await access.add_group("wEB")
        for edit in (
            access.delete_group("ghosts"),
            access.set_member("ghosts", "alice", True),
            access.grant(FLASK, "g1", "group:ghosts", frozenset({READ})),
        ):
            with pytest.raises(errors.GroupNotFound):
                await edit
        assert await access.groups() == {"web": frozenset()}

    @pytest.mark.parametrize("name", ["", "a b", "everyone", "Authenticated", "é", "a" * 65])
    async def test_a_malformed_group_is_refused(self, access: EditableAccess, name: str) -> None:
        """No group has a name outside the grammar, or that of everyone."""
        with pytest.raises(errors.InvalidName):
            await access.add_group(name)
        assert await access.groups() == {}

    async def test_a_group_taken_again_is_another(self, access: EditableAccess) -> None:
        """Neither members nor grants of a deleted group come back with the name."""
        await access.add_user("alice", PASSWORD)
        await access.add_group("web")
        await access.set_member("web", "alice", True)
        await access.grant(FLASK, "g1", "group:web", frozenset({READ}))
        await access.delete_group("Web")
        assert await access.groups() == {}
        await access.add_group("web")
        assert await access.groups() == {"web": frozenset()}
        assert await access.all_grants() == {}
        identity = await access.known("alice")
        assert identity is not None
        assert "group:web" not in identity.principals

    async def test_a_user_taken_again_is_in_no_group(self, access: EditableAccess) -> None:
        """Memberships of a deleted user do not come back with the name."""
        await access.add_user("alice", PASSWORD)
        await access.add_group("web")
        await access.set_member("web", "alice", True)
        await access.delete_user("alice")
        assert await access.groups() == {"web": frozenset()}
        await access.add_user("alice", PASSWORD)
        identity = await access.known("alice")
        assert identity is not None
        assert identity.principals == {"authenticated", "user:alice"}
