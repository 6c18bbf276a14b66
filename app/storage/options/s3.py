"""Options of ``s3://``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from app.options import AwsOptions
from app.quantities import Duration

_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class S3Options(AwsOptions):
    """An S3-compatible store. Without keys, the SDK's own chain finds credentials."""

    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    role_arn: str | None = None
    external_id: SecretStr | None = None
    ca_file: Path | None = None
    verify_tls: bool = True
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = None
    acl: str | None = None
    storage_class: str | None = None
    checksums: Literal["sha256", "md5", "none"] = "sha256"
    create_only: bool = True
    accelerate: bool = False
    public_url: str | None = None
    connect_timeout: Duration = timedelta(seconds=5)
    read_timeout: Duration = timedelta(seconds=20)
    attempts: int = Field(default=3, ge=1, le=10)
    connections: int = Field(default=64, ge=1, le=1000)

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id belongs to a role_arn")
        if self.kms_key_id is not None and self.encryption in (None, "AES256"):
            raise ValueError("kms_key_id needs the encryption aws:kms or aws:kms:dsse")
        if self.storage_class in _ARCHIVES:
            raise ValueError(
                f"storage_class {self.storage_class} keeps what cannot be read at once"
            )
        if self.accelerate and self.endpoint_url is not None:
            raise ValueError("accelerate is a service of AWS: it goes with no endpoint_url")
        return self
