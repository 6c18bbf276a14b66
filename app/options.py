"""Options of backends: models that are settings groups, and what a ``connect`` takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from app import errors


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


class AwsOptions(Options):
    """Who we are to AWS. Without keys, the SDK's own chain finds credentials."""

    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    profile: str | None = None

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key are set together or not at all")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token belongs to an access_key_id")
        if self.profile is not None and self.access_key_id is not None:
            raise ValueError("profile and access_key_id are two different credentials; set one")
        return self


class EndpointOptions(AwsOptions):
    """And where the service is, if not at AWS; ``ca_file``: who vouches for it."""

    endpoint_url: str | None = None
    ca_file: Path | None = None
