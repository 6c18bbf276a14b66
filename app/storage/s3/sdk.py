"""What the SDK makes of the options: a client, credentials, and where URLs lead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioDeferredRefreshableCredentials,
)
from botocore.handlers import add_expect_header
from botocore.utils import parse_timestamp

from app import aws
from app.storage.options.s3 import S3Options
from app.storage.s3.failures import Refused
from app.storage.sigv4 import Presigner

SESSION = "pypicloud"
"""How the session of an assumed role is called."""


class Made(NamedTuple):
    """``credentials`` renew themselves; ``of_aws``: no other store was named."""

    client: Any
    credentials: Any
    presigner: Presigner
    endpoint: str
    region: str
    of_aws: bool
    create_only: bool


def made_in_thread(bucket: str, options: S3Options) -> Made:
    """In an event loop of its own; errors.Misconfigured, one line."""
    making = _made(bucket, options)
    return aws.made_in_thread(making, service="S3", group="S3", refused=Refused)


async def _made(bucket: str, options: S3Options) -> Made:
    if options.ca_file is not None and not options.ca_file.is_file():
        raise ValueError(f"there is no file {options.ca_file}, which PYPICLOUD_S3__CA_FILE names")
    session = aws.session(options, options.region)
    session._session.get_component("response_parser_factory").set_parser_defaults(
        timestamp_parser=_time
    )
    credentials = await _credentials(session, options)
    presigner, region = await _presigner(session, bucket, options)
    client = await _client(session, options).__aenter__()
    # Nothing bounds how long aiohttp waits for "100 Continue".
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return Made(
        client=client,
        credentials=credentials,
        presigner=presigner,
        endpoint=client.meta.endpoint_url,
        region=region,
        of_aws=options.endpoint_url is None,
        create_only=options.create_only,
    )


async def _credentials(session: Any, options: S3Options) -> Any:
    """The credentials of the session, had once and renewed by threads from now on."""
    credentials = await session.get_credentials()
    if credentials is not None and options.role_arn is not None:
        external_id = aws.revealed(options.external_id)
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=session._session.create_client,
            source_credentials=credentials,
            role_arn=options.role_arn,
            extra_args={"RoleSessionName": SESSION}
            | ({"ExternalId": external_id} if external_id else {}),
        )
        fetcher.feature_ids = set()
        credentials = AioDeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials, method="assume-role"
        )
        session._session._credentials = credentials
    return await aws.found(credentials)


def _time(value: Any) -> datetime:
    """The SDK's own parser would take most of the time of a listing."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        found = parse_timestamp(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _client(session: Any, options: S3Options, **others: Any) -> Any:
    verify = str(options.ca_file) if options.ca_file else None
    chosen = {"endpoint_url": options.endpoint_url, "config": _config(options), **others}
    return session.client("s3", verify=verify if options.verify_tls else False, **chosen)


def _config(options: S3Options, *, addressing_style: str | None = None) -> AioConfig:
    return AioConfig(
        signature_version="s3v4",
        s3={
            "addressing_style": addressing_style or options.addressing_style,
            "use_accelerate_endpoint": options.accelerate,
        },
        max_pool_connections=options.connections,
        connect_timeout=options.connect_timeout.total_seconds(),
        read_timeout=options.read_timeout.total_seconds(),
        retries={"mode": "standard", "total_max_attempts": options.attempts},
        # Over TLS the SDK would send checksums behind the body, which few stores understand.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


async def _presigner(session: Any, bucket: str, options: S3Options) -> tuple[Presigner, str]:
    """One that signs what the SDK would, which knows all endpoints; and the region."""
    endpoint = options.public_url or options.endpoint_url
    # For "auto" the SDK would sign for the endpoint of no region.
    regional = options.addressing_style == "auto" and endpoint is None and "." not in bucket
    config = _config(options, addressing_style="virtual" if regional else None)
    async with _client(session, options, endpoint_url=endpoint, config=config) as client:
        parameters = {"Bucket": bucket, "Key": "k"}
        url = urlsplit(await client.generate_presigned_url("get_object", Params=parameters))
    region = parse_qs(url.query)["X-Amz-Credential"][0].split("/")[-3]
    endpoint = f"{url.scheme}://{url.netloc}{url.path.removesuffix('/k')}"
    return Presigner(endpoint=endpoint, region=region), region
