"""The shapes of what ``/api/v1`` says of users, groups, grants and registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.access.base import Grants, User
from app.models import Identity, Permission
from app.routes.schemas import FAILURES, Failure

CONFLICTS: dict[int | str, dict[str, Any]] = {
    **FAILURES,
    409: {"model": Failure, "description": "It is there already, or is edited elsewhere."},
}

Name = Annotated[str, Path(max_length=64, description="upper and lower case are the same")]
Password = Annotated[str, Field(max_length=1024)]


def _example(example: JsonDict) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"example": example})


class UserLine(BaseModel):
    """One user."""

    name: str
    admin: bool
    disabled: bool = Field(description="shut out by an admin")
    pending: bool = Field(description="registered, and not approved yet")
    groups: list[str]

    @classmethod
    def of(cls, user: User) -> UserLine:
        """The line of a user."""
        return cls(
            name=user.name,
            admin=user.admin,
            disabled=user.disabled,
            pending=user.pending,
            groups=list(user.groups),
        )


class UserList(BaseModel):
    """All users, by name."""

    users: list[UserLine]


class UserPut(BaseModel):
    """A user as it is to be. The password may be left out of one who is there."""

    model_config = _example({"password": "a pass phrase of yours", "admin": False})

    password: Password | None = None
    admin: bool = False


class UserPatch(BaseModel):
    """What of a user is to be otherwise."""

    model_config = _example({"disabled": True})

    password: Password | None = None
    admin: bool | None = None
    disabled: bool | None = None


class GroupLine(BaseModel):
    """One group."""

    name: str
    members: list[str]

    @classmethod
    def of(cls, name: str, members: Iterable[str]) -> GroupLine:
        """The line of a group."""
        return cls(name=name, members=sorted(members))


class GroupList(BaseModel):
    """All groups, by name."""

    groups: list[GroupLine]


class GrantPut(BaseModel):
    """What a principal is to have on a project; nothing: the grant goes."""

    model_config = _example({"permissions": ["read", "upload"]})

    permissions: frozenset[Permission]


class GrantLine(BaseModel):
    """What one principal has on a project."""

    principal: str
    permissions: list[Permission]

    @classmethod
    def of(cls, principal: str, permissions: Iterable[Permission]) -> GrantLine:
        """The line of a grant."""
        return cls(principal=principal, permissions=sorted(permissions))


class GrantList(BaseModel):
    """The explicit grants on a project; none: the defaults hold."""

    grants: list[GrantLine]

    @classmethod
    def of(cls, grants: Grants) -> GrantList:
        """The lines of grants."""
        return cls(grants=[GrantLine.of(who, grants[who]) for who in sorted(grants)])


class AccountDetail(BaseModel):
    """Whoever asks, as the service knows them."""

    kind: str = Field(description="user, token, publisher")
    name: str
    admin: bool
    principals: list[str]

    @classmethod
    def of(cls, identity: Identity) -> AccountDetail:
        """What an identity says of itself."""
        return cls(
            kind=identity.actor.kind,
            name=identity.actor.id,
            admin=identity.admin,
            principals=sorted(identity.principals),
        )


class PasswordChange(BaseModel):
    """A new password, and the one until now."""

    model_config = _example(
        {"old_password": "a pass phrase of yours", "new_password": "kumquat and quince"}
    )

    old_password: str = Field(max_length=1024)
    new_password: Password


class Registrations(BaseModel):
    """Whether anybody may register, and who waits for approval."""

    open: bool
    pending: list[str]


class RegistrationsPut(BaseModel):
    """Open or close registration."""

    model_config = _example({"open": True})

    open: bool


class Registration(BaseModel):
    """Somebody who wants to be a user; with a sign-up token they are at once."""

    model_config = _example({"name": "ada", "password": "a pass phrase of yours", "token": None})

    name: str = Field(max_length=64)
    password: Password
    token: str | None = Field(default=None, max_length=512)


class Registered(BaseModel):
    """What became of a registration."""

    name: str
    pending: bool = Field(description="whether an admin must approve first")


class Invite(BaseModel):
    """Whom to invite, and for how long."""

    model_config = _example({"name": "ada", "expires_in": 86400})

    name: str = Field(max_length=64)
    expires_in: int | None = Field(
        default=None, ge=60, le=90 * 86400, description="seconds; null: the setting's"
    )


class Invited(BaseModel):
    """A sign-up token. It is shown once, and works once."""

    name: str
    token: str
    expires: datetime


def of_user(user: User | None) -> Mapping[str, Any] | None:
    """A user in the audit's before and after."""
    return None if user is None else UserLine.of(user).model_dump(mode="json", exclude={"name"})
