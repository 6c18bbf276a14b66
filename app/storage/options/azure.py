"""Options of ``azure://``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from app.quantities import Duration
from app.storage.options import Options


class AzureOptions(Options):
    """Azure Blob storage. Without key and connection string, Entra ID says who we are."""

    account: str | None = None
    account_url: str | None = None
    account_key: SecretStr | None = None
    connection_string: SecretStr | None = None
    ca_file: Path | None = None
    connect_timeout: Duration = timedelta(seconds=5)
    read_timeout: Duration = timedelta(seconds=20)
    attempts: int = Field(default=3, ge=1, le=10)
    connections: int = Field(default=64, ge=1, le=1000)
