"""Opening a bucket: whatever is wrong with it, or with who we are, is one line at the start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from gcloud.aio.auth.token import GCE_METADATA_HEADERS, Type

from app import errors
from app.storage.gcs import credentials
from app.storage.gcs.bucket import Bucket
from app.storage.gcs.client import WHO, Client
from app.storage.gcs.credentials import Token
from app.storage.gcs.failures import Failed, translated
from app.storage.gcs.signing import IAM, IAMSigner, KeySigner, Signer
from app.storage.options.gcs import GCSOptions
from app.storage.place import Place, parse
from app.storage.probe import is_for_reading, require_create_only

ROLE = "roles/iam.serviceAccountTokenCreator"

logger = logging.getLogger(__name__)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[Bucket]:
    """The storage in ``gs://BUCKET/PREFIX``; options are those of GCSOptions.

    Raises errors.Misconfigured where it cannot work, errors.StorageUnavailable where it does
    not answer.
    """
    place = parse(url)
    rest, only_read = is_for_reading(options)
    chosen = GCSOptions.of(rest)
    connector = aiohttp.TCPConnector(limit=chosen.connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        token = await asyncio.to_thread(credentials.load, chosen.service_account_file, session)
        client = Client(chosen, place.bucket, token, session)
        try:
            yield await (
                _read(client, place, chosen)
                if only_read
                else _opened(client, place, chosen, session)
            )
        finally:
            await token.settle()


async def _opened(
    client: Client, place: Place, options: GCSOptions, session: aiohttp.ClientSession
) -> Bucket:
    await _require_token(client)
    try:
        await client.page(prefix=place.prefix, maxResults="1")
        bucket = Bucket(client, place, options, await _signer(client, options, session))
        await require_create_only(bucket, WHO)
    except Failed as failed:
        raise _explained(failed, place.bucket) from None
    return bucket


async def _read(client: Client, place: Place, options: GCSOptions) -> Bucket:
    """One that is neither written to nor asked for URLs."""
    await _require_token(client)
    try:
        await client.page(prefix=place.prefix, maxResults="1")
    except Failed as failed:
        raise _explained(failed, place.bucket, only_read=True) from None
    return Bucket(client, place, options, None)


async def _require_token(client: Client) -> None:
    try:
        await client.tried(client.token.get)
    except Failed as failed:
        if client.token.token_type is Type.GCE_METADATA:
            raise errors.Misconfigured(
                "No credentials for Google Cloud: name a file by "
                "PYPICLOUD_GCS__SERVICE_ACCOUNT_FILE or GOOGLE_APPLICATION_CREDENTIALS; "
                f"the metadata server gave none ({failed})"
            ) from None
        if failed.status in (400, 401, 403, 404):
            raise errors.Misconfigured(str(failed)) from None
        raise


def _explained(failed: Failed, bucket: str, *, only_read: bool = False) -> Exception:
    needed = ("read", "objectViewer") if only_read else ("read, write and delete", "objectUser")
    if failed.status == 404:
        return errors.Misconfigured(
            f"There is no bucket {bucket!r}; make it, or name another: {failed}"
        )
    if failed.status in (401, 403):
        return errors.Misconfigured(
            f"The credentials may not {needed[0]} in the bucket {bucket!r} "
            f"(the role roles/storage.{needed[1]} lets them): {failed}"
        )
    return failed if failed.transient else errors.Misconfigured(str(failed))


async def _signer(
    client: Client, options: GCSOptions, session: aiohttp.ClientSession
) -> Signer | None:
    """Who signs URLs: our key, else IAM, proved by one signature; None where nobody does."""
    token = client.token
    wanted = options.service_account_email
    if token.key is not None and token.email is not None and wanted in (None, token.email):
        return KeySigner(token.email, token.key)
    email = wanted or await _email(token, session)
    if email is None:
        logger.warning(
            "Nobody signs URLs: the credentials are no service account's, so the bytes of all "
            "files go through this service; PYPICLOUD_GCS__SERVICE_ACCOUNT_EMAIL names one"
        )
        return None
    signer = IAMSigner(email, client, options.iam_endpoint_url or IAM)
    try:
        await signer.sign(b"probe")
    except Failed as failed:
        if failed.transient:
            raise
        problem = f"No URLs can be signed as {email} (the role {ROLE} on it is needed): {failed}"
        if wanted is not None:
            raise errors.Misconfigured(problem) from None
        logger.warning("%s; so the bytes of all files go through this service", problem)
        return None
    return signer


async def _email(token: Token, session: aiohttp.ClientSession) -> str | None:
    if token.token_type is not Type.GCE_METADATA:
        return token.email
    timeout = aiohttp.ClientTimeout(total=10)
    with translated("The metadata server"):
        async with session.get(
            credentials.metadata_url("email"), headers=GCE_METADATA_HEADERS, timeout=timeout
        ) as answer:
            email = (await answer.text()).strip()
    # A cluster's identity that stands for no service account has the name of a pool.
    return email if answer.status == 200 and "@" in email else None
