"""Opening a bucket: whatever is wrong with it, or with who we are, is one line at the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ulid import ULID

from app import errors
from app.storage import place as places
from app.storage.options.s3 import S3Options
from app.storage.probe import ROOT, is_for_reading, require_create_only
from app.storage.s3 import listing, sdk
from app.storage.s3.bucket import S3Storage, Sign
from app.storage.s3.client import Client
from app.storage.s3.failures import Refused
from app.storage.s3.sdk import Made
from app.storage.s3.signing import Signer

ALONE = "with one worker of one replica, PYPICLOUD_S3__CREATE_ONLY=false does without"

READS = "s3:GetObject"
RIGHTS = f"{READS}, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload"

_STRANGERS = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "SignatureDoesNotMatch",
    }
)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[S3Storage]:
    """The storage in ``s3://BUCKET/PREFIX``; options are those of S3Options.

    Raises errors.Misconfigured where it cannot work, errors.StorageUnavailable where it does
    not answer.
    """
    rest, only_read = is_for_reading(options)
    async with opened(url, S3Options.of(rest), only_read=only_read) as storage:
        yield storage


@asynccontextmanager
async def opened(
    url: str, options: S3Options, *, sign: Sign | None = None, only_read: bool = False
) -> AsyncIterator[S3Storage]:
    """The storage in ``scheme://BUCKET/PREFIX``; ``sign`` replaces its presigned URLs.

    ``only_read``: nothing is written to try it.
    """
    place = places.parse(url)
    # The SDK reads its files while it makes a client.
    made = await asyncio.get_running_loop().run_in_executor(
        None, sdk.made_in_thread, place.bucket, options
    )
    try:
        client = Client(made.client, place.bucket, options)
        sign = sign or Signer(made.presigner, made.credentials, client.patience)
        storage = S3Storage(client, place.prefix, sign)
        by_folder = await _tried(client, None if only_read else storage, place.prefix, made)
        yield S3Storage(client, place.prefix, sign, by_folder=by_folder)
    finally:
        await made.client.close()


async def _tried(client: Client, storage: S3Storage | None, prefix: str, made: Made) -> bool:
    """Whether the store lists by folder; raises where it cannot be used.

    Without a ``storage`` to write to, that is taken for so where it may be: it costs time only.
    """
    name = f"The bucket {client.bucket!r}"
    try:
        listed = await client.ask("list_objects_v2", Prefix=prefix, MaxKeys=1)
        region = listed["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        if made.of_aws and region not in (None, made.region):
            raise _elsewhere(client.bucket, region)
        if storage is None:
            return not made.of_aws
        await require_create_only(storage, name)
        return await _lists_by_folder(client, storage, prefix)
    except Refused as refused:
        raise _explained(refused, name, made, READS if storage is None else RIGHTS) from None
    except errors.StorageUnavailable as error:
        raise errors.StorageUnavailable(f"{name} at {made.endpoint}: {error}") from None
    except errors.Misconfigured as wrong:
        if "create-only" in str(wrong):
            raise errors.Misconfigured(f"{wrong}; {ALONE}") from None
        raise


async def _lists_by_folder(client: Client, storage: S3Storage, prefix: str) -> bool:
    """Try in which order the store lists keys."""
    probe = f"{ROOT}{ULID()}"
    keys = [f"{probe}/b", f"{probe}-a"]
    for key in keys:
        await storage.create(key, b"")
    found = await listing.by_folder(client, prefix + probe)
    await storage.delete_many(keys)
    return found


def _explained(refused: Refused, name: str, made: Made, rights: str) -> errors.PypicloudError:
    bucket = name.rpartition(" ")[2].strip("'")
    if refused.region not in (None, made.region) and refused.status in (301, 307, 400, 403):
        return _elsewhere(bucket, str(refused.region))
    if refused.code == "NoSuchBucket":
        return errors.Misconfigured(f"{name} does not exist at {made.endpoint}; make it first")
    if refused.code in _STRANGERS:
        return errors.Misconfigured(f"{name}: the credentials are not accepted: {refused}")
    if refused.code == "RequestTimeTooSkewed":
        return errors.Misconfigured(f"{name}: the clock of this machine is wrong: {refused}")
    if refused.code == "NotImplemented" and made.create_only:
        return errors.Misconfigured(f"{name} has no create-only writes; {ALONE}: {refused}")
    if refused.status == 403:
        return errors.Misconfigured(
            f"{name}: the credentials need s3:ListBucket on it, and on its objects {rights}: "
            f"{refused}"
        )
    transient = refused.status in (408, 409, 429) or refused.status >= 500
    return refused if transient else errors.Misconfigured(f"{name}: {refused}")


def _elsewhere(bucket: str, region: str) -> errors.Misconfigured:
    return errors.Misconfigured(
        f"The bucket {bucket!r} is in the region {region}: set PYPICLOUD_S3__REGION={region}"
    )
