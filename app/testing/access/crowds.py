"""What is promised of everybody brought in and out at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app import errors
from app.access.base import Account, EditableAccess
from app.testing.access.nouns import (
    CROWD,
    FLASK,
    MANAGE,
    PASSWORD,
    READ,
)


class Crowds:
    """Everybody at once."""

    async def test_people_are_brought_in_and_out_again(
        self, access: EditableAccess, elsewhere: EditableAccess
    ) -> None:
        """What was loaded is what is given back, and loading it again changes nothing."""
        await access.load(CROWD)
        found = await elsewhere.people()
        assert found == CROWD
        await elsewhere.load(found)
        assert await access.people() == CROWD
        assert await access.identify("ada", "ada has a passphrase") is not None
        assert await access.identify("bob", "ada has a passphrase") is None
        assert await access.registration()

    async def test_loading_adds_and_sets_and_removes_nobody(self, access: EditableAccess) -> None:
        """Who is there keeps their password and their groups; what differs is set."""
        await access.add_user("ada", PASSWORD)
        await access.add_user("zoe", PASSWORD)
        await access.add_group("ops")
        await access.set_member("ops", "zoe", True)
        await access.grant(FLASK, "g1", "user:zoe", frozenset({READ}))
        await access.load(CROWD)
        assert await access.identify("zoe", PASSWORD) is not None
        ada = await access.identify("ada", PASSWORD)
        assert ada is not None
        assert ada.admin
        assert (await access.groups())["ops"] == {"ada", "stranger", "zoe"}
        granted = await access.grants(FLASK, "g1")
        assert granted["user:zoe"] == {READ}
        assert granted["user:ada"] == {READ, MANAGE}

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"accounts": (Account(name="a b"),)}, errors.InvalidName),
            ({"accounts": (Account(name="Eve"), Account(name="eve"))}, errors.InvalidName),
            ({"accounts": (Account(name="eve", password="plain"),)}, errors.InvalidHash),
            ({"groups": {"a b": frozenset()}}, errors.InvalidName),
            ({"groups": {"web": frozenset({"a:b"})}}, errors.InvalidName),
            ({"grants": {(FLASK, "g1"): {"eve": frozenset({READ})}}}, errors.InvalidName),
        ],
        ids=["name", "case", "hash", "group", "member", "principal"],
    )
    async def test_people_are_loaded_all_or_not_at_all(
        self, access: EditableAccess, wrong: dict[str, Any], error: type[Exception]
    ) -> None:
        """What is wrong with one of them keeps all of them out."""
        before = await access.people()
        more = {"registration": True, **wrong}
        more["accounts"] = (*CROWD.accounts, *more.get("accounts", ()))
        with pytest.raises(error):
            await access.load(replace(CROWD, **more))
        assert await access.people() == before
