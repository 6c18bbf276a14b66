"""The shapes of ``/api/v1/tokens``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.access.ledger import Token
from app.access.tokens import MOST_NETWORKS, MOST_PROJECTS, NAME_LENGTH, ends
from app.models import Permission

_Text = Annotated[str, Field(max_length=200)]


class TokenRequest(BaseModel):
    """What a token is to be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "ci", "projects": ["holygrail"], "permissions": ["upload"]}
        },
    )

    name: str = Field(
        max_length=NAME_LENGTH, pattern=r"^[^\x00-\x1f\x7f]*$", description="for people"
    )
    projects: list[_Text] = Field(
        ["*"], max_length=MOST_PROJECTS, description="names, and patterns with `*`"
    )
    permissions: list[Permission] = Field(max_length=10)
    expires_in: int | None = Field(
        None, ge=60, le=366 * 86400, description="seconds; unset: as the settings say"
    )
    creates: bool = Field(False, description="whether it may claim names that are free")
    admin: bool = Field(False, description="whether it may do an admin's work")
    networks: list[_Text] = Field(
        [],
        max_length=MOST_NETWORKS,
        description="from where it may be used (CIDR); empty: anywhere",
    )


class TokenLine(BaseModel):
    """A token without its secret."""

    id: str
    name: str
    owner: str | None
    publisher: str | None
    projects: list[str]
    permissions: list[Permission]
    creates: bool
    admin: bool
    networks: list[str]
    created: datetime
    expires: datetime
    last_used: datetime | None
    ends: datetime = Field(
        description="when it stops to hold: it expires, or was not used for too long; "
        "one that has ended is refused, and may be revoked"
    )
    parent: str | None = Field(description="the token that it was made with")

    @classmethod
    def of(cls, token: Token, unused_after: timedelta) -> TokenLine:
        """The line of a token."""
        return TokenLine(**_shown(token, unused_after))


class MadeToken(TokenLine):
    """A new token, the only time that its text is shown."""

    token: str

    @classmethod
    def made(cls, token: Token, text: str, unused_after: timedelta) -> MadeToken:
        """What whoever asked for it gets."""
        return cls(**_shown(token, unused_after), token=text)


def _shown(token: Token, unused_after: timedelta) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "owner": token.owner,
        "publisher": token.publisher,
        "projects": sorted(token.scope.projects),
        "permissions": sorted(token.scope.permissions),
        "creates": token.scope.creates,
        "admin": token.scope.admin,
        "networks": list(token.networks),
        "created": token.created,
        "expires": token.expires,
        "last_used": token.last_used,
        "ends": ends(token, unused_after),
        "parent": token.parent,
    }


def audited(token: Token) -> dict[str, Any]:
    """What the trail says of a token."""
    return {
        "id": token.id,
        "name": token.name,
        "owner": token.owner,
        "permissions": sorted(token.scope.permissions),
        "projects": sorted(token.scope.projects),
        "creates": token.scope.creates,
        "admin": token.scope.admin,
        "networks": list(token.networks),
        "expires": token.expires.isoformat(),
    }
