"""The options of caches; importing them imports no vendor's library.

Those of DynamoDB are the settings group ``PYPICLOUD_DYNAMODB__…`` as well.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from app.options import AwsOptions, Options
from app.quantities import Duration


class SqlOptions(Options):
    """``timeout``: for a statement, and for other processes' writes. ``pool_size``: of readers.

    SQLite has readers of its own number.
    """

    timeout: Duration = timedelta(seconds=15)
    pool_size: int = Field(default=8, ge=1, le=100)


class DynamoDBOptions(AwsOptions):
    """``timeout``: for one question or write, with all that is tried again meanwhile.

    Without keys, the SDK's own chain finds credentials.
    """

    endpoint_url: str | None = None
    ca_file: Path | None = None
    connect_timeout: Duration = timedelta(seconds=2)
    read_timeout: Duration = timedelta(seconds=5)
    timeout: Duration = timedelta(seconds=15)
    connections: int = Field(default=64, ge=1, le=1000)
