"""Options of caches in SQL databases: the settings group ``PYPICLOUD_SQL__…``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app import errors
from app.quantities import Duration


class SqlOptions(BaseModel):
    """``timeout``: for a statement, and for other processes' writes. ``pool_size``: of readers.

    SQLite has readers of its own number.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    timeout: Duration = timedelta(seconds=15)
    pool_size: int = Field(default=8, ge=1, le=100)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The options of a mapping; errors.Misconfigured, one line, where one cannot be."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_input=False)[0]
            raise errors.Misconfigured(f"{first['loc'][0]}: {first['msg']}") from None
