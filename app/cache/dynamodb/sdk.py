"""What the SDK makes of the options: a client whose credentials renew themselves."""

from __future__ import annotations

from typing import Any

from aiobotocore.config import AioConfig

from app import aws
from app.cache.dynamodb.failures import Refused
from app.cache.options import DynamoDBOptions


def made_in_thread(region: str, options: DynamoDBOptions) -> Any:
    """A client, made in an event loop of its own; errors.Misconfigured, one line."""
    making = _made(region, options)
    return aws.made_in_thread(making, service="DynamoDB", group="DYNAMODB", refused=Refused)


async def _made(region: str, options: DynamoDBOptions) -> Any:
    ca_file = options.ca_file
    if ca_file is not None and not ca_file.is_file():
        raise ValueError(f"there is no file {ca_file}, which PYPICLOUD_DYNAMODB__CA_FILE names")
    session = aws.session(options, region)
    await aws.found(await session.get_credentials())
    config = AioConfig(
        max_pool_connections=options.connections,
        connect_timeout=options.connect_timeout.total_seconds(),
        read_timeout=options.read_timeout.total_seconds(),
        # The server validates as well, and this takes a quarter of a bulk write's time.
        parameter_validation=False,
        # Table tries again, with one bound in time over all attempts.
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    return await session.client(
        "dynamodb",
        endpoint_url=options.endpoint_url,
        verify=str(ca_file) if ca_file else None,
        config=config,
    ).__aenter__()
