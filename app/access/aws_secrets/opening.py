"""Opening the secret: whatever is wrong is one line at the start."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig

from app import aws, errors
from app.access.aws_secrets.keeper import AccessRefused, SecretKeeper, SecretMissing
from app.access.kept import KeptAccess
from app.access.options import AwsSecretsOptions
from app.access.passwords import Passwords

RENEW_EVERY = 1800
"""Seconds: the service keeps every version for a day, and a hundred at the most."""
_ID = re.compile(r"[A-Za-z0-9/_+=.@:-]{1,512}\Z")
_STRANGERS = ("UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException")


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[KeptAccess]:
    """Access in the secret ``aws-secrets:NAME`` or ``aws-secrets:ARN``.

    Options: ``aws_secrets``, those of AwsSecretsOptions; those of Passwords,
    and ``strangers``. Raises errors.Misconfigured where it cannot work,
    errors.AccessUnavailable where it does not answer.
    """
    id = url.partition(":")[2]
    if not _ID.match(id):
        raise errors.Misconfigured("Write access as aws-secrets:NAME, or with the ARN of a secret.")
    chosen = AwsSecretsOptions.of(options.get("aws_secrets", {}))
    passwords = Passwords.of(options)
    try:
        client = await asyncio.get_running_loop().run_in_executor(None, _client, id, chosen)
        try:
            keeper = SecretKeeper(client, id, chosen)
            await _check(keeper, id)
            yield KeptAccess(
                keeper,
                passwords,
                strangers=options.get("strangers", False),
                renew_every=RENEW_EVERY,
            )
        finally:
            await client.close()
    finally:
        await passwords.close()


def _client(id: str, options: AwsSecretsOptions) -> Any:
    config = AioConfig(
        connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
    )
    region = options.region or (id.split(":")[3] if id.startswith("arn:") else None)
    return aws.client_in_thread(
        "secretsmanager",
        region,
        options,
        config,
        service="Secrets Manager",
        group="AWS_SECRETS",
        refused=AccessRefused,
    )


async def _check(keeper: SecretKeeper, id: str) -> None:
    try:
        await keeper.book()
    except SecretMissing as missing:
        raise errors.Misconfigured(
            f"{missing} PYPICLOUD_AWS_SECRETS__CREATE=true makes it with the first user."
        ) from None
    except AccessRefused as refused:
        if refused.code.startswith("AccessDenied"):
            rights = "GetSecretValue, and to edit PutSecretValue and UpdateSecretVersionStage"
            raise errors.Misconfigured(
                f"The secret {id!r}: the credentials need secretsmanager:{rights}: {refused}"
            ) from None
        if refused.code in _STRANGERS:
            raise errors.Misconfigured(
                f"The secret {id!r}: the credentials are not accepted: {refused}"
            ) from None
        raise
