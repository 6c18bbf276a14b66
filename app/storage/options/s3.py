"""Options of ``s3://``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from app.quantities import Duration
from app.storage.options import Options


class S3Options(Options):
    """An S3-compatible store. Without keys, the SDK's own chain finds credentials."""

    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    profile: str | None = None
    ca_file: Path | None = None
    verify_tls: bool = True
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = None
    acl: str | None = None
    storage_class: str | None = None
    checksums: Literal["sha256", "md5", "none"] = "sha256"
    accelerate: bool = False
    public_url: str | None = None
    connect_timeout: Duration = timedelta(seconds=5)
    read_timeout: Duration = timedelta(seconds=20)
    attempts: int = Field(default=3, ge=1, le=10)
    connections: int = Field(default=64, ge=1, le=1000)
