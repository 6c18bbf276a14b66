"""What every backend on an AWS SDK needs; imported with the SDK, so only where a backend is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ProxyConnectionError,
)
from botocore.loaders import create_loader
from pydantic import SecretStr

from app import errors
from app.options import AwsOptions, EndpointOptions

T = TypeVar("T")

REASON = 200
"""Characters of what a service says that are passed on."""

BROKEN = (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError)
"""What is raised where there was no answer, or none to the end."""

_UNREACHED = {
    "EndpointConnectionError": "cannot be reached",
    "ConnectTimeoutError": "cannot be reached in time",
    "ReadTimeoutError": "did not answer in time",
    "AioReadTimeoutError": "did not answer in time",
    "TimeoutError": "did not answer in time",
    "NoCredentialsError": "cannot be asked: no credentials were found",
    "SSLError": "has a certificate that cannot be verified",
}


def broken(error: BaseException) -> str:
    """What became of a request that had no answer, as the end of a sentence."""
    if isinstance(error, ProxyConnectionError):
        return "cannot be reached through the proxy"
    name = type(error).__name__
    return _UNREACHED.get(name, f"broke off ({name})")


def said(error: ClientError) -> str:
    """The message of an answer that is an error, in one line."""
    return " ".join(str(error.response.get("Error", {}).get("Message", "")).split())[:REASON]


def made_in_thread(
    making: Coroutine[Any, Any, T],
    *,
    service: str,
    group: str,
    refused: Callable[[ClientError], object],
) -> T:
    """What the SDK makes, in an event loop of its own, for it reads files.

    ``service`` is how messages call it, ``group`` its settings' group, ``refused`` tells an
    answer that is an error. Raises errors.Misconfigured, one line.
    """
    try:
        return asyncio.run(making)
    except NoCredentialsError:
        raise errors.Misconfigured(
            f"No credentials for {service}: set PYPICLOUD_{group}__ACCESS_KEY_ID and "
            f"PYPICLOUD_{group}__SECRET_ACCESS_KEY, or one of the sources of the AWS SDK"
        ) from None
    except ClientError as error:
        raise errors.Misconfigured(
            f"No credentials for {service} could be had: {refused(error)}"
        ) from None
    except (BotoCoreError, ValueError, OSError) as error:
        line = " ".join(str(error).split())
        raise errors.Misconfigured(f"{service} cannot be used: {line}") from None


def client_in_thread(
    name: str,
    region: str | None,
    options: EndpointOptions,
    config: AioConfig,
    *,
    service: str,
    group: str,
    refused: Callable[[ClientError], object],
) -> Any:
    """The SDK's client ``name``, whose credentials renew themselves; as ``made_in_thread``."""

    async def making() -> Any:
        ca_file = options.ca_file
        if ca_file is not None and not ca_file.is_file():
            raise ValueError(f"there is no file {ca_file}, which PYPICLOUD_{group}__CA_FILE names")
        made = session(options, region, models=_models())
        await found(await made.get_credentials())
        verify = str(ca_file) if ca_file else None
        client = made.client(name, endpoint_url=options.endpoint_url, verify=verify, config=config)
        return await client.__aenter__()

    return made_in_thread(making(), service=service, group=group, refused=refused)


@cache
def _models() -> Any:
    """The SDK's descriptions of services, read once: that is most of the making of a client."""
    return create_loader()


def session(options: AwsOptions, region: str | None, *, models: Any = None) -> Any:
    """A session with the credentials of the options, else those that the SDK's chain finds."""
    inner = get_session()
    if models is not None:
        inner.register_component("data_loader", models)
    made = aioboto3.Session(
        botocore_session=inner,
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=revealed(options.secret_access_key),
        aws_session_token=revealed(options.session_token),
        profile_name=options.profile,
        region_name=region,
    )
    if models is not None:
        # Each session adds where else to look.
        models.search_paths[:] = dict.fromkeys(models.search_paths)
    return made


async def found(credentials: Any) -> Any:
    """The credentials, had once and renewed by threads from now on.

    Raises NoCredentialsError where there are none.
    """
    if credentials is None:
        raise NoCredentialsError
    if isinstance(credentials, AioRefreshableCredentials):
        credentials._refresh_using = _in_thread(credentials._refresh_using)
    await credentials.get_frozen_credentials()
    return credentials


def revealed(secret: SecretStr | None) -> str | None:
    """What the SDK is to know."""
    return None if secret is None else secret.get_secret_value()


def _in_thread(renew: Callable[[], Any]) -> Callable[[], Any]:
    """To renew credentials the SDK makes a client, and reads files, each time."""

    async def renewed() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, renewed_in_thread)

    def renewed_in_thread() -> Any:
        return asyncio.run(renew())

    return renewed
