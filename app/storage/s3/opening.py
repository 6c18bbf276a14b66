"""Opening a bucket: whatever is wrong with it, or with who we are, is one line at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError
from ulid import ULID

from app import errors
from app.storage import place as places
from app.storage.options.s3 import S3Options
from app.storage.probe import ROOT, require_create_only
from app.storage.s3 import listing
from app.storage.s3.bucket import S3Storage, Sign
from app.storage.s3.client import Client
from app.storage.s3.failures import Refused
from app.storage.s3.signing import Signer
from app.storage.sigv4 import Presigner


class Opened(NamedTuple):
    """What the SDK makes of the options."""

    sdk: Any
    credentials: Any
    presigner: Presigner


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[S3Storage]:
    """The storage in ``s3://BUCKET/PREFIX``; options are those of S3Options.

    Raises errors.Misconfigured where it cannot work, errors.StorageUnavailable where it does
    not answer.
    """
    async with opened(url, S3Options.of(options)) as storage:
        yield storage


@asynccontextmanager
async def opened(
    url: str, options: S3Options, *, sign: Sign | None = None
) -> AsyncIterator[S3Storage]:
    """The storage in ``scheme://BUCKET/PREFIX``; ``sign`` replaces its presigned URLs."""
    place = places.parse(url)
    # The SDK reads its files while it makes a client.
    made = await asyncio.get_running_loop().run_in_executor(None, _made, place.bucket, options)
    try:
        client = Client(made.sdk, place.bucket, options)
        sign = sign or Signer(made.presigner, made.credentials, client.patience)
        storage = S3Storage(client, place.prefix, sign)
        try:
            await client.ask("list_objects_v2", Prefix=place.prefix, MaxKeys=1)
            await require_create_only(storage, f"The bucket {place.bucket}")
            by_folder = await _lists_by_folder(client, storage, place.prefix)
        except Refused as refused:
            raise refused
        yield S3Storage(client, place.prefix, sign, by_folder=by_folder)
    finally:
        await made.sdk.close()


async def _lists_by_folder(client: Client, storage: S3Storage, prefix: str) -> bool:
    """Try in which order the store lists keys."""
    probe = f"{ROOT}{ULID()}"
    keys = [f"{probe}/b", f"{probe}-a"]
    try:
        for key in keys:
            await storage.create(key, b"")
        return await listing.by_folder(client, prefix + probe)
    finally:
        await storage.delete_many(keys)


def _made(bucket: str, options: S3Options) -> Opened:
    try:
        return asyncio.run(_make(bucket, options))
    except BotoCoreError as error:
        raise errors.Misconfigured(f"S3: {error}") from None


async def _make(bucket: str, options: S3Options) -> Opened:
    secret, token = options.secret_access_key, options.session_token
    session = aioboto3.Session(
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        profile_name=options.profile,
        region_name=options.region,
    )
    credentials = await session.get_credentials()
    if credentials is None:
        raise errors.Misconfigured("no credentials")
    sdk = await _client(session, options).__aenter__()
    return Opened(sdk, credentials, await _presigner(session, bucket, options))


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
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


async def _presigner(session: Any, bucket: str, options: S3Options) -> Presigner:
    """One that signs what the SDK would: it knows the endpoints of all regions."""
    endpoint = options.public_url or options.endpoint_url
    # For "auto" the SDK would sign for the endpoint of no region.
    regional = options.addressing_style == "auto" and endpoint is None and "." not in bucket
    config = _config(options, addressing_style="virtual" if regional else None)
    async with _client(session, options, endpoint_url=endpoint, config=config) as sdk:
        url = await sdk.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    path, _, query = url.partition("?")
    region = parse_qs(query)["X-Amz-Credential"][0].split("/")[2]
    return Presigner(endpoint=path.removesuffix("/k"), region=region)
