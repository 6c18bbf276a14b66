"""What is promised of names that nobody may have: they are refused, and change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

import pytest

from app import errors
from app.access.base import EditableAccess
from app.testing.access.nouns import FLASK, PASSWORD, READ

NAMES = (
    *("", " ", "a b", " alice", "alice ", ".", "..", "../alice", "a/b", "a\\b", "-alice"),
    *("a\0b", "alice\0", "a\nb", "a\r\nb", "a\tb", "\x7f", "\x1b[31malice"),
    *("*", "alice*", "%", "a%", "_", "a?", "'", '"', "'; DROP TABLE users; --", "a' OR '1'='1"),
    *("(uid=*)", "*)(uid=*", "alice,ou=people", "cn=alice", "#", "a;b", "a=b", "a&b"),
    *("{{7*7}}", "${jndi:x}", "{0}", "%s", "<b>alice</b>", "[alice]", "alice#g1", "alice|bob"),
    *("é", "e\u0301", "\uff41lice", "ali\u0441e", "alice\u200b", "\u202ealice", "\ufeffalice"),
    *("\u0130", "\u212aate", "\ud800", "🐍", "a:b", "user:alice", "group:ops", "x" * 65),
    *("x" * 100_000, "__token__"),
)
"""Of another grammar: of paths, SQL, LDAP, patterns, templates, terminals; and look-alikes."""
REFUSED = (errors.InvalidName, errors.UserNotFound, errors.GroupNotFound)


async def refused(
    edits: Iterable[Awaitable[object]], *, by: tuple[type[Exception], ...] = REFUSED
) -> None:
    """Every one of these edits."""
    for edit in edits:
        with pytest.raises(by):
            await edit


class Hostile:
    """Names outside the grammar."""

    async def test_no_user_has_a_hostile_name(self, access: EditableAccess) -> None:
        """None is added, found, let in or changed under one."""
        for own in ("alice", "kate"):
            await access.add_user(own, PASSWORD)
        before = await access.people()
        for name in NAMES:
            await refused([access.add_user(name, PASSWORD)], by=(errors.InvalidName,))
            assert await access.identify(name, PASSWORD) is None
            assert await access.known(name) is None
            assert await access.user(name) is None
            await refused(
                [
                    access.set_password(name, PASSWORD),
                    access.set_admin(name, True),
                    access.set_disabled(name, True),
                    access.approve(name),
                    access.delete_user(name),
                ]
            )
        assert await access.people() == before

    async def test_no_group_has_a_hostile_name_or_member(self, access: EditableAccess) -> None:
        """None is made, filled or removed under one."""
        await access.add_user("alice", PASSWORD)
        await access.add_user("kate", PASSWORD)
        for group in ("ops", "kate"):
            await access.add_group(group)
            await access.set_member(group, "alice", True)
        for name in NAMES:
            await refused([access.add_group(name)], by=(errors.InvalidName,))
            await refused(
                [
                    access.delete_group(name),
                    access.set_member(name, "alice", True),
                    access.set_member("ops", name, True),
                ]
            )
        members = frozenset({"alice"})
        assert await access.groups() == {"kate": members, "ops": members}

    async def test_nothing_is_granted_to_a_hostile_name(self, access: EditableAccess) -> None:
        """Neither as a principal itself, nor behind ``user:`` or ``group:``."""
        for own in ("alice", "kate"):
            await access.add_user(own, PASSWORD)
            await access.add_group(own)
        for name in NAMES:
            for who in (f"user:{name}", f"group:{name}", f"everyone:{name}", f":{name}"):
                await refused([access.grant(FLASK, "g1", who, frozenset({READ}))])
        assert await access.all_grants() == {}
