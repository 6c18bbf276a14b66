"""Options of metrics: the settings group ``PYPICLOUD_METRICS__…``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class MetricsOptions(BaseModel):
    """Who may read ``/metrics``: nobody, whoever proves to be an admin or has the ``token``, all.

    ``directory`` is where the workers of one service add up their numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access: Literal["off", "protected", "open"] = "protected"
    token: SecretStr | None = Field(default=None, min_length=16)
    directory: Path | None = None
