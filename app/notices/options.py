"""Options of notifications; importing them imports no vendor's library.

They are the settings group ``PYPICLOUD_NOTIFICATIONS__…`` as well.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr

from app.options import AwsOptions
from app.quantities import Duration

SHORTEST = 16
_QUEUE = re.compile(r"https?://[^/?#@\s]+/[^?#@\s]+\Z")
_REGIONAL = re.compile(r"https://(?:sqs\.)?([a-z]{2}(?:-[a-z]+)+-\d)(?:\.queue)?\.amazonaws\.com")


def _queue(value: str) -> str:
    if not _QUEUE.match(value):
        raise ValueError("write it like 'https://sqs.eu-central-1.amazonaws.com/123456789012/NAME'")
    return value


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) < SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"take at least {SHORTEST} ASCII letters, digits and signs, at random")
    return value


class NotificationOptions(AwsOptions):
    """Who tells of keys: a queue, and whoever knows the ``secret`` of the HTTP hook.

    Without keys, those of S3 are used, else the SDK's own chain finds credentials. ``receives``
    is how often a message that cannot be read is received before it is removed.
    """

    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    sqs_url: Annotated[str, AfterValidator(_queue)] | None = None
    region: str | None = None
    endpoint_url: str | None = None
    ca_file: Path | None = None
    visibility: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=12))] = (
        timedelta(seconds=60)
    )
    receives: int = Field(default=5, ge=1, le=1000)

    def beside(self, s3: AwsOptions, region: str | None) -> Self:
        """The same; who we are, and where, is as for S3 unless it is said."""
        lent: dict[str, object] = {}
        if self.access_key_id is None and self.profile is None:
            lent = {name: getattr(s3, name) for name in AwsOptions.model_fields}
        if self.queue_region is None:
            lent["region"] = region
        return self.model_copy(update=lent)

    @property
    def queue_region(self) -> str | None:
        """The region that is set, else that of the queue's URL."""
        found = _REGIONAL.match(self.sqs_url or "")
        return self.region or (found[1] if found else None)
