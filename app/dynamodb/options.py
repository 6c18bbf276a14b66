"""The options of DynamoDB; importing them imports no SDK."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from app.options import EndpointOptions
from app.quantities import Duration


class DynamoDBOptions(EndpointOptions):
    """``timeout``: for one question or write, with all that is tried again meanwhile.

    Without keys, the SDK's own chain finds credentials. They are the settings group
    ``PYPICLOUD_DYNAMODB__…`` as well.
    """

    connect_timeout: Duration = timedelta(seconds=2)
    read_timeout: Duration = timedelta(seconds=5)
    timeout: Duration = timedelta(seconds=15)
    connections: int = Field(default=64, ge=1, le=1000)
