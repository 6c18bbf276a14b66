"""The options of caches; importing them imports no vendor's library.

Those of DynamoDB are the settings group ``PYPICLOUD_DYNAMODB__…`` as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from app import errors
from app.quantities import Duration


class Options(BaseModel):
    """Frozen; refuses what it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The options of a mapping; errors.Misconfigured, one line, where one cannot be."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_input=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise errors.Misconfigured(f"{name}: {message}".removeprefix(": ")) from None


class SqlOptions(Options):
    """``timeout``: for a statement, and for other processes' writes. ``pool_size``: of readers.

    SQLite has readers of its own number.
    """

    timeout: Duration = timedelta(seconds=15)
    pool_size: int = Field(default=8, ge=1, le=100)


class DynamoDBOptions(Options):
    """``timeout``: for one question or write, with all that is tried again meanwhile.

    Without keys, the SDK's own chain finds credentials.
    """

    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    profile: str | None = None
    ca_file: Path | None = None
    connect_timeout: Duration = timedelta(seconds=2)
    read_timeout: Duration = timedelta(seconds=5)
    timeout: Duration = timedelta(seconds=15)
    connections: int = Field(default=64, ge=1, le=1000)

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key are set together or not at all")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token belongs to an access_key_id")
        if self.profile is not None and self.access_key_id is not None:
            raise ValueError("profile and access_key_id are two different credentials; set one")
        return self
