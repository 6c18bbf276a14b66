"""Options of ``cloudfront://``; the bucket behind it has those of ``s3://``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from app.options import Options


class CloudFrontOptions(Options):
    """A CloudFront distribution before the bucket. Without a key, URLs are not signed."""

    url: str | None = None
    key_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]+$")
    private_key: SecretStr | None = None
    private_key_file: Path | None = None
    policy: Literal["canned", "custom"] = "canned"
    hash_algorithm: Literal["SHA1", "SHA256"] = "SHA1"
