"""Options of ``gs://``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from app.quantities import Duration
from app.storage.options import Options


class GCSOptions(Options):
    """Google Cloud Storage. Without a key file, application default credentials are used."""

    endpoint_url: str | None = None
    service_account_file: Path | None = None
    connect_timeout: Duration = timedelta(seconds=5)
    read_timeout: Duration = timedelta(seconds=20)
    attempts: int = Field(default=3, ge=1, le=10)
    connections: int = Field(default=64, ge=1, le=1000)
