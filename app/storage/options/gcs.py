"""Options of ``gs://``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from app.options import Options
from app.quantities import Duration

ACL = Literal[
    "authenticatedRead",
    "bucketOwnerFullControl",
    "bucketOwnerRead",
    "private",
    "projectPrivate",
    "publicRead",
]


class GCSOptions(Options):
    """Google Cloud Storage. Without a credentials file, application default credentials are used.

    ``service_account_email`` signs URLs through IAM where the credentials hold no key of its own.
    """

    endpoint_url: str | None = None
    public_url: str | None = None
    iam_endpoint_url: str | None = None
    service_account_file: Path | None = None
    service_account_email: str | None = None
    storage_class: str | None = None
    predefined_acl: ACL | None = None
    kms_key_name: str | None = None
    connect_timeout: Duration = timedelta(seconds=5)
    read_timeout: Duration = timedelta(seconds=20)
    attempts: int = Field(default=3, ge=1, le=10)
    connections: int = Field(default=64, ge=1, le=1000)

    @field_validator("endpoint_url", "public_url", "iam_endpoint_url")
    @classmethod
    def _origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("write it like https://storage.example.com")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("a scheme, a host and perhaps a port, nothing behind them")
        return f"{parts.scheme}://{parts.netloc}"
