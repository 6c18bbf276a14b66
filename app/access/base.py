"""The Access protocols: who somebody is, and what was granted. They answer; policy decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from packaging.utils import NormalizedName

from app.models import Identity, Permission

Grants = Mapping[str, frozenset[Permission]]
"""What was granted on one project: permissions by principal. Empty: the defaults hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person or a robot with a password."""

    name: str
    admin: bool = False
    disabled: bool = False


class Access(Protocol):
    """Answers who somebody is and what was granted.

    Methods raise errors.Unavailable when the backend cannot be asked.
    """

    async def identify(self, username: str, password: str) -> Identity | None:
        """Who this is, or None: unknown user, wrong password and disabled cost the same."""
        ...

    async def grants(self, project: NormalizedName, generation: str | None) -> Grants:
        """The explicit grants on this generation of a project."""
        ...

    async def all_grants(self) -> Mapping[tuple[NormalizedName, str], Grants]:
        """Every explicit grant, by project and generation; for lists of projects."""
        ...


class EditableAccess(Access, Protocol):
    """An access backend whose users and grants the admin may change."""

    async def users(self) -> Sequence[User]:
        """All users, by name."""
        ...

    async def user(self, name: str) -> User | None:
        """One user."""
        ...

    async def add_user(self, name: str, password: str, *, admin: bool = False) -> None:
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

    async def delete_user(self, name: str) -> None:
        """Raises errors.UserNotFound."""
        ...

    async def grant(
        self,
        project: NormalizedName,
        generation: str,
        principal: str,
        permissions: frozenset[Permission],
    ) -> None:
        """Set what a principal has on a project; the empty set takes all away.

        Raises errors.InvalidName for what is no principal, errors.UserNotFound.
        """
        ...
