"""What the SDK makes of the options: a client whose credentials renew themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from app import errors
from app.cache.dynamodb.failures import Refused
from app.cache.options import DynamoDBOptions


def made_in_thread(region: str, options: DynamoDBOptions) -> Any:
    """A client, made in an event loop of its own, for files are read.

    Raises errors.Misconfigured, one line.
    """
    try:
        return asyncio.run(_made(region, options))
    except NoCredentialsError:
        raise errors.Misconfigured(
            "No credentials for DynamoDB: set PYPICLOUD_DYNAMODB__ACCESS_KEY_ID and "
            "PYPICLOUD_DYNAMODB__SECRET_ACCESS_KEY, or one of the sources of the AWS SDK"
        ) from None
    except ClientError as error:
        raise errors.Misconfigured(
            f"No credentials for DynamoDB could be had: {Refused(error)}"
        ) from None
    except (BotoCoreError, ValueError, OSError) as error:
        line = " ".join(str(error).split())
        raise errors.Misconfigured(f"DynamoDB cannot be used: {line}") from None


async def _made(region: str, options: DynamoDBOptions) -> Any:
    ca_file = options.ca_file
    if ca_file is not None and not ca_file.is_file():
        raise ValueError(f"there is no file {ca_file}, which PYPICLOUD_DYNAMODB__CA_FILE names")
    session = aioboto3.Session(
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=_secret(options.secret_access_key),
        aws_session_token=_secret(options.session_token),
        profile_name=options.profile,
        region_name=region,
    )
    credentials = await session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    if isinstance(credentials, AioRefreshableCredentials):
        credentials._refresh_using = _in_thread(credentials._refresh_using)
    await credentials.get_frozen_credentials()
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


def _in_thread(renew: Callable[[], Any]) -> Callable[[], Any]:
    """To renew credentials the SDK makes a client, and reads files, each time."""

    async def renewed() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, renewed_in_thread)

    def renewed_in_thread() -> Any:
        return asyncio.run(renew())

    return renewed


def _secret(value: Any) -> str | None:
    return value.get_secret_value() if value is not None else None
