"""The Access protocols: who somebody is, and what was granted. They answer; policy decides.

A backend may have more than its protocol asks for, and is used for it where it does:
``origin`` says in words where its users come from (``the file 'users.toml'``); ``ledger`` is a
Ledger beside them; ``users()``, ``user(name)`` and ``groups()``, as EditableAccess has them,
list what cannot be edited. In a chain (access.chain), where the option ``strangers`` asks to
take the names of users and groups that another backend knows, ``defines(name)`` says whether
a user is known here, let in or not, and ``memberships(name)`` which groups here list somebody
whom another backend knows, and ``spend()`` costs what a wrong password costs (``hashes`` tells
that this is a hash). ``edition()`` is another text after every change, whoever made it;
None where that cannot be told now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from packaging.utils import NormalizedName

from app import errors
from app.models import Identity, Permission

Grants = Mapping[str, frozenset[Permission]]
"""What was granted on one project: permissions by principal. Empty: the defaults hold."""

UNBOUND = ""
"""The generation of grants on a name that nobody claimed yet: they are for the first to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person or a robot with a password. ``pending``: registered, and not approved yet."""

    name: str
    admin: bool = False
    disabled: bool = False
    pending: bool = False
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user as exports hold it: with the hash of the password, where there is one."""

    name: str
    password: str | None = None
    admin: bool = False
    disabled: bool = False
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Everything that a backend knows, to be brought into another one.

    ``grants`` are by project and generation. Backends that know grants by name alone give
    UNBOUND; whoever imports binds those to the projects that exist.
    """

    accounts: tuple[Account, ...] = ()
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    grants: Mapping[tuple[NormalizedName, str], Grants] = field(default_factory=dict)
    registration: bool = False


def origin(access: object) -> str:
    """Where the users of a backend come from, in words."""
    return str(getattr(access, "origin", "another place"))


def editable(access: Access) -> EditableAccess:
    """The same, where it can be edited; errors.NotEditable."""
    if not hasattr(access, "add_user"):
        raise errors.NotEditable(origin(access))
    return cast(EditableAccess, access)


class Access(Protocol):
    """Answers who somebody is and what was granted.

    Names of users and groups are known in lower case (access.principals). Methods raise
    errors.AccessUnavailable when the backend cannot be asked.
    """

    async def identify(self, username: str, password: str) -> Identity | None:
        """Who this is, or None: unknown user, wrong password, disabled and pending cost the same.

        The identity's principals hold ``authenticated``, ``user:NAME`` and a ``group:NAME``
        for each group as of now.
        """
        ...

    async def known(self, username: str) -> Identity | None:
        """Who this is as of now, proved elsewhere (a token, a session); None: nobody (any more)."""
        ...

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        """The explicit grants on this generation of a project; None: on a name that is free.

        Grants that are not bound yet hold too. Backends whose grants name projects alone, for
        an operator wrote them, do not look at the generation.
        """
        ...

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        """Every explicit grant, by project and generation, for lists of projects.

        UNBOUND stands for whatever generation there is.
        """
        ...

    async def people(self) -> People:
        """Everything, for an export, accounts by name. errors.NotEditable where it has no lists."""
        ...


class EditableAccess(Access, Protocol):
    """An access backend whose users, groups and grants the admin may change.

    Every method is atomic; what it changed holds for every process with its next question.
    """

    async def users(self) -> Sequence[User]:
        """All users, by name."""
        ...

    async def user(self, name: str) -> User | None:
        """One user."""
        ...

    async def add_user(
        self, name: str, password: str, *, admin: bool = False, pending: bool = False
    ) -> None:
        """Raises errors.UserExists, errors.InvalidName, errors.InvalidPassword."""
        ...

    async def set_password(self, name: str, password: str) -> None:
        """Raises errors.UserNotFound, errors.InvalidPassword."""
        ...

    async def set_admin(self, name: str, admin: bool) -> None:
        """Raises errors.UserNotFound."""
        ...

    async def set_disabled(self, name: str, disabled: bool) -> None:
        """Raises errors.UserNotFound. A disabled user is nobody at once."""
        ...

    async def approve(self, name: str) -> None:
        """Let in somebody who registered. Raises errors.UserNotFound; again changes nothing."""
        ...

    async def delete_user(self, name: str) -> None:
        """Raises errors.UserNotFound. Memberships and grants go too."""
        ...

    async def groups(self) -> Mapping[str, frozenset[str]]:
        """The members of every group, empty groups included, by name."""
        ...

    async def add_group(self, name: str) -> None:
        """Raises errors.InvalidName, errors.GroupExists."""
        ...

    async def delete_group(self, name: str) -> None:
        """Raises errors.GroupNotFound. Memberships and grants go too."""
        ...

    async def set_member(self, group: str, user: str, member: bool) -> None:
        """Raises errors.GroupNotFound, errors.UserNotFound; again changes nothing."""
        ...

    async def grant(
        self,
        project: NormalizedName,
        generation: str,
        principal: str,
        permissions: frozenset[Permission],
    ) -> None:
        """Set what a principal has on a project; the empty set takes all away.

        Generation UNBOUND: on whichever comes first. Raises errors.InvalidName for what is
        no principal, errors.UserNotFound, errors.GroupNotFound.
        """
        ...

    async def bind(self, project: NormalizedName, generation: str) -> None:
        """Give grants that are not bound yet to the generation that has come."""
        ...

    async def forget(self, project: NormalizedName, generation: str) -> None:
        """Drop the grants of a generation that has ended."""
        ...

    async def registration(self) -> bool:
        """Whether anybody may register (and then waits for approval)."""
        ...

    async def set_registration(self, open: bool) -> None:
        """Open or close it."""
        ...

    async def load(self, people: People) -> None:
        """Add what is missing and set what differs, all or nothing; nobody is removed.

        Passwords of users who are there stay. The same people again change nothing. Raises
        errors.InvalidName, errors.InvalidHash.
        """
        ...
