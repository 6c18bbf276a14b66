"""The options of the object stores, one model each; importing them imports no vendor's library.

They are the settings groups (``PYPICLOUD_S3__REGION`` is ``S3Options.region``) and what a
backend's ``connect`` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

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
