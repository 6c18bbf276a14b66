"""What is promised of grants, bound and not bound yet."""

from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.access.base import UNBOUND, EditableAccess
from app.testing.access.nouns import (
    FLASK,
    MANAGE,
    READ,
    UPLOAD,
)


class Grants:
    """Grants: by project, generation and principal."""

    async def test_grants_are_of_one_generation(self, access: EditableAccess) -> None:
        """What was granted on a project is not granted on a later one of the same name."""
        await access.add_group("web")
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

    async def test_unbound_grants_are_for_the_first_to_come(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """Granted on a free name, they hold there; bound, they are of that generation alone."""
        await access.grant(FLASK, UNBOUND, "everyone", frozenset({READ}))
        await access.grant(FLASK, UNBOUND, "authenticated", frozenset({UPLOAD}))
        await access.grant(FLASK, "g1", "authenticated", frozenset({READ}))
        loose = {"everyone": frozenset({READ}), "authenticated": frozenset({UPLOAD})}
        assert await access.grants(FLASK, None) == loose
        assert await access.grants(FLASK, "g2") == loose
        bound = {"everyone": frozenset({READ}), "authenticated": frozenset({READ})}
        assert await access.grants(FLASK, "g1") == bound
        for _ in range(2):
            await elsewhere.bind(FLASK, "g1")
            assert await access.grants(FLASK, "g1") == bound
            assert await access.grants(FLASK, "g2") == {}
            assert await access.grants(FLASK, None) == {}
        await access.grant(FLASK, "g1", "authenticated", frozenset())
        assert await access.grants(FLASK, "g1") == {"everyone": frozenset({READ})}

    async def test_an_ended_generation_is_forgotten(self, access: EditableAccess) -> None:
        """Its grants are dropped; those of others, and unbound ones, stay."""
        other = NormalizedName("other")
        for project, generation in ((FLASK, "g1"), (FLASK, "g2"), (FLASK, UNBOUND), (other, "g1")):
            await access.grant(project, generation, "everyone", frozenset({READ}))
        await access.forget(FLASK, "g1")
        assert set(await access.all_grants()) == {(FLASK, "g2"), (FLASK, UNBOUND), (other, "g1")}
