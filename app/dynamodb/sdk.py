"""What the SDK makes of the options: a client whose credentials renew themselves."""

from __future__ import annotations

from typing import Any

from aiobotocore.config import AioConfig

from app import aws
from app.dynamodb.failures import Refused
from app.dynamodb.options import DynamoDBOptions


def made_in_thread(region: str, options: DynamoDBOptions) -> Any:
    """A client, made in an event loop of its own; errors.Misconfigured, one line."""
    config = AioConfig(
        max_pool_connections=options.connections,
        connect_timeout=options.connect_timeout.total_seconds(),
        read_timeout=options.read_timeout.total_seconds(),
        # The server validates as well, and this takes a quarter of a bulk write's time.
        parameter_validation=False,
        # Table tries again, with one bound in time over all attempts.
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    return aws.client_in_thread(
        "dynamodb", region, options, config, service="DynamoDB", group="DYNAMODB", refused=Refused
    )
