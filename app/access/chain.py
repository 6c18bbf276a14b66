"""Several access backends as one: the first that knows a user decides.

Whoever a member knows and refuses is refused, whatever the members after it would say. What
was granted is what all of them grant, and so are the groups. Edits go to the first member
that takes them.
"""

from __future__ import annotations

import logging
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, cast

from packaging.utils import NormalizedName

from app import errors, plugins
from app.access.base import Access, Account, EditableAccess, Grants, People, User, origin
from app.access.levelling import defines, level
from app.access.principals import folded, principal
from app.models import Identity, Permission

log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(
    urls: Sequence[str], options: Callable[[str], Mapping[str, Any]]
) -> AsyncIterator[Access]:
    """Open the backends of these URLs, in this order; a single one is itself.

    ``options`` are those of the backend of a URL. Where there are several, each gets
    ``strangers`` besides, for names that another may know are taken, and the same ``decoys``,
    so that whoever is refused costs the same whichever of them refuses.
    """
    async with AsyncExitStack() as stack:
        members: list[Access] = []
        together: dict[str, Any] = {"strangers": True, "decoys": {}} if len(urls) > 1 else {}
        for url in urls:
            opened = plugins.backend("access", url)(url, dict(options(url)) | together)
            members.append(await stack.enter_async_context(opened))
        yield members[0] if len(members) == 1 else chained(members)


def chained(members: Sequence[Access]) -> Chain:
    """The members as one; an EditableAccess where one of them is."""
    editable = any(hasattr(member, "add_user") for member in members)
    return EditableChain(members) if editable else Chain(members)


class Chain:
    """An Access over others. Methods raise what the members raise."""

    def __init__(self, members: Sequence[Access]) -> None:
        self._members = members
        self.origin = " and ".join(origin(member) for member in members)
        self.pools = ChainMap(*(getattr(member, "pools", {}) for member in members))
        if keeping := [member for member in members if hasattr(member, "ledger")]:
            self.ledger: Any = cast(Any, keeping[0]).ledger

    async def identify(self, username: str, password: str) -> Identity | None:
        # One member alone hashes, so that nobody costs what somebody costs.
        deciding = await self._deciding(username)
        identity = await deciding.identify(username, password)
        if identity is None:
            await level(self._members, deciding, username)
        return await self._with_groups(deciding, identity)

    async def known(self, username: str) -> Identity | None:
        deciding = await self._deciding(username)
        return await self._with_groups(deciding, await deciding.known(username))

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        found: Grants = {}
        for member in self._members:
            found = _both(found, await member.grants(project, generation))
        return found

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        found: dict[tuple[NormalizedName, str], Grants] = {}
        for member in self._members:
            for key, own in (await member.all_grants()).items():
                found[key] = _both(found.get(key, {}), own)
        return found

    async def edition(self) -> str | None:
        """Another text after every edit of any member; None where one cannot say."""
        found = [await cast(Any, m).edition() for m in self._members if hasattr(m, "edition")]
        whole = len(found) == len(self._members) and None not in found
        return " ".join(found) if whole else None

    async def people(self) -> People:
        """All that the members can list; errors.NotEditable where none of them can."""
        accounts: dict[str, Account] = {}
        found = People()
        for own in await self._listed():
            accounts = {**{account.name: account for account in own.accounts}, **accounts}
            grants = dict(found.grants)
            for key, granted in own.grants.items():
                grants[key] = _both(grants.get(key, {}), granted)
            found = People(
                groups=_joined(found.groups, own.groups),
                grants=grants,
                registration=found.registration or own.registration,
            )
        return replace(found, accounts=tuple(accounts[name] for name in sorted(accounts)))

    async def _listed(self) -> Sequence[People]:
        listed: list[People] = []
        for member in self._members:
            with suppress(errors.NotEditable):  # a directory, or a server that is asked
                listed.append(await member.people())
        if not listed:
            raise errors.NotEditable(self.origin)
        return listed

    async def users(self) -> Sequence[User]:
        """All users of the members that can list them, by name."""
        found: dict[str, User] = {}
        for member in self._members:
            if hasattr(member, "users"):
                found = {**{user.name: user for user in await member.users()}, **found}
        return [found[name] for name in sorted(found)]

    async def user(self, name: str) -> User | None:
        """The user as the first member knows them that does."""
        for member in self._members:
            if hasattr(member, "user"):
                found: User | None = await member.user(name)
            else:
                found = _as_user(await member.known(name))
            if found is not None:
                return found
        return None

    async def groups(self) -> Mapping[str, frozenset[str]]:
        """The groups of the members that can list them."""
        found: Mapping[str, frozenset[str]] = {}
        for member in self._members:
            if hasattr(member, "groups"):
                found = _joined(found, await member.groups())
        return found

    async def definer(self, name: str) -> Access | None:
        """The first member that knows the user."""
        for member in self._members:
            if await defines(member, name):
                return member
        return None

    async def _deciding(self, name: str) -> Access:
        for member in self._members[:-1]:
            if await defines(member, name):
                return member
        return self._members[-1]

    async def _with_groups(self, deciding: Access, identity: Identity | None) -> Identity | None:
        """The identity with the groups that the other members put it into.

        A member that cannot be asked costs its groups, which only ever add rights.
        """
        if identity is None:
            return None
        more: set[str] = set()
        for member in self._members:
            if member is not deciding and hasattr(member, "memberships"):
                try:
                    more |= await member.memberships(identity.actor.id)
                except errors.AccessUnavailable as error:
                    log.warning("%s is without some groups: %s", identity.actor.id, error)
        groups = {f"group:{group}" for group in more}
        return replace(identity, principals=identity.principals | groups) if groups else identity


class EditableChain(Chain):
    """An EditableAccess over others; what is known to a member that is read only stays as it is."""

    def __init__(self, members: Sequence[Access]) -> None:
        super().__init__(members)
        self._editable = [
            cast(EditableAccess, member) for member in members if hasattr(member, "add_user")
        ]
        self._first = self._editable[0]

    async def add_user(
        self, name: str, password: str, *, admin: bool = False, pending: bool = False
    ) -> None:
        if await self.definer(name) is not None:
            raise errors.UserExists(name)
        await self._first.add_user(name, password, admin=admin, pending=pending)

    async def set_password(self, name: str, password: str) -> None:
        await (await self._keeping(name)).set_password(name, password)

    async def set_admin(self, name: str, admin: bool) -> None:
        await (await self._keeping(name)).set_admin(name, admin)

    async def set_disabled(self, name: str, disabled: bool) -> None:
        await (await self._keeping(name)).set_disabled(name, disabled)

    async def approve(self, name: str) -> None:
        await (await self._keeping(name)).approve(name)

    async def delete_user(self, name: str) -> None:
        await (await self._keeping(name)).delete_user(name)

    async def add_group(self, name: str) -> None:
        await self._first.add_group(name)

    async def delete_group(self, name: str) -> None:
        await self._must_edit_group(name)
        await self._first.delete_group(name)

    async def set_member(self, group: str, user: str, member: bool) -> None:
        await self._must_edit_group(group)
        if member and await self.definer(user) is None:
            raise errors.UserNotFound(user)
        await self._first.set_member(group, user, member)

    async def grant(
        self,
        project: NormalizedName,
        generation: str,
        principal: str,
        permissions: frozenset[Permission],
    ) -> None:
        if permissions:
            await self._must_know(principal)
        await self._first.grant(project, generation, principal, permissions)

    async def bind(self, project: NormalizedName, generation: str) -> None:
        for member in self._editable:
            await member.bind(project, generation)

    async def forget(self, project: NormalizedName, generation: str) -> None:
        for member in self._editable:
            await member.forget(project, generation)

    async def registration(self) -> bool:
        return await self._first.registration()

    async def set_registration(self, open: bool) -> None:
        await self._first.set_registration(open)

    async def load(self, people: People) -> None:
        await self._first.load(people)

    async def _keeping(self, name: str) -> EditableAccess:
        """Whose user this is; errors.NotEditable where it is a member's that is read only."""
        member = await self.definer(name)
        if member is None:
            return self._first
        if not hasattr(member, "add_user"):
            raise errors.NotEditable(origin(member))
        return cast(EditableAccess, member)

    async def _must_edit_group(self, name: str) -> None:
        if folded(name) in await self._first.groups():
            return
        for member in self._members:
            if hasattr(member, "groups") and folded(name) in await member.groups():
                raise errors.NotEditable(origin(member))
        raise errors.GroupNotFound(name)

    async def _must_know(self, text: str) -> None:
        kind, _, name = principal(text).partition(":")
        if kind == "user" and await self.definer(name) is None:
            raise errors.UserNotFound(name)
        # Some backends know of a group only when one of its members comes in.
        listing = all(hasattr(member, "groups") for member in self._members)
        if kind == "group" and listing and name not in await self.groups():
            raise errors.GroupNotFound(name)


def _both(first: Grants, second: Grants) -> Grants:
    if not first or not second:
        return first or second
    return {
        who: first.get(who, frozenset()) | second.get(who, frozenset())
        for who in {**first, **second}
    }


def _joined(
    first: Mapping[str, frozenset[str]], second: Mapping[str, frozenset[str]]
) -> Mapping[str, frozenset[str]]:
    return {
        name: first.get(name, frozenset()) | second.get(name, frozenset())
        for name in sorted({**first, **second})
    }


def _as_user(identity: Identity | None) -> User | None:
    if identity is None:
        return None
    groups = (who.removeprefix("group:") for who in identity.principals if who.startswith("group:"))
    return User(name=identity.actor.id, admin=identity.admin, groups=tuple(sorted(groups)))
