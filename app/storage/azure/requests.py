"""Requests to Azure, each bounded in time and in tries."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline.transport import AsyncHttpResponse
from azure.storage.blob import (
    BlobBlock,
    BlobProperties,
    ContentSettings,
    UserDelegationKey,
    generate_container_sas,
)
from azure.storage.blob.aio import BlobServiceClient, LinearRetry
from yarl import URL

from app.storage.azure.account import Account
from app.storage.azure.failures import Failed, answered, translated
from app.storage.azure.identity import Identity
from app.storage.azure.listing import Page, parse
from app.storage.azure.transport import Transport, verified_by
from app.storage.options.azure import AzureOptions

PAUSE = 0.2
"""Seconds, on the average, before the second try; twice as long before each further one."""
SLOWEST = 2**16
"""Bytes a second that a body must at least come forward."""
PAGE = 1000
LISTING = timedelta(minutes=15)
"""How long a signature lives that asks for a page."""
LARGEST = 2**23
"""Bytes of an upload in one request."""

T = TypeVar("T")


class Requests:
    """One container by the SDK, whose own retries are off. Raises Failed when a request fails."""

    def __init__(
        self,
        account: Account,
        container: str,
        options: AzureOptions,
        session: aiohttp.ClientSession,
        identity: Identity | None,
    ) -> None:
        self.attempts = options.attempts
        self._account = account
        self._session = session
        self._identity = identity
        connect = options.connect_timeout.total_seconds()
        read = options.read_timeout.total_seconds()
        self._patience = connect + 2 * read
        # Counts to the next bytes, never to the last ones.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect + read, sock_connect=connect, sock_read=read
        )
        self.service = BlobServiceClient(
            account.url,
            credential=_credential(account, identity),
            transport=Transport(
                session=session,
                session_owner=False,
                connection_timeout=connect,
                read_timeout=read,
            ),
            retry_policy=LinearRetry(retry_total=0),
            max_single_put_size=LARGEST,
        )
        self.container = self.service.get_container_client(container)

    async def upload(
        self,
        name: str,
        body: bytes,
        settings: ContentSettings,
        metadata: Mapping[str, str],
        *,
        create: bool = False,
    ) -> None:
        """Write a blob in one request, which the store verifies by MD5."""
        blob = self.container.get_blob_client(name)
        verified = await verified_by(body)
        await self.tried(
            lambda: blob.upload_blob(
                body,
                length=len(body),
                overwrite=not create,
                metadata=dict(metadata),
                content_settings=settings,
                headers=dict(verified),
            ),
            len(body),
        )

    async def stage(self, name: str, block: str, body: bytes) -> None:
        """Send a block of a blob, which the store verifies by MD5, and keeps out of sight."""
        blob = self.container.get_blob_client(name)
        headers = await verified_by(body)
        await self.tried(
            lambda: blob.stage_block(block, body, length=len(body), headers=dict(headers)),
            len(body),
        )

    async def commit(
        self,
        name: str,
        blocks: Sequence[str],
        settings: ContentSettings,
        metadata: Mapping[str, str],
    ) -> None:
        """Make a blob of its blocks; doing it twice does no harm."""
        blob = self.container.get_blob_client(name)
        await self.tried(
            lambda: blob.commit_block_list(
                [BlobBlock(block) for block in blocks],
                content_settings=settings,
                metadata=dict(metadata),
                validate_content=True,
            )
        )

    async def properties(self, name: str) -> BlobProperties | None:
        """What is known of a blob, or None where there is none of that name."""
        blob = self.container.get_blob_client(name)
        try:
            return await self.tried(blob.get_blob_properties)
        except Failed as failed:
            if failed.absent:
                return None
            raise

    async def delete(self, name: str) -> None:
        """Remove a blob with its snapshots; one that is not there is fine."""
        blob = self.container.get_blob_client(name)
        try:
            await self.tried(lambda: blob.delete_blob(delete_snapshots="include"))
        except Failed as failed:
            if not failed.absent:
                raise

    async def delete_batch(self, names: Sequence[str]) -> bool:
        """Remove up to 256 blobs in one request: whether all of them are gone. Tries once."""

        async def batch() -> bool:
            parts = await self.container.delete_blobs(
                *names, delete_snapshots="include", raise_on_any_failure=False
            )
            return all([_is_gone(part) async for part in parts])

        try:
            return await self._once(batch, len(names) * 1024)
        except Failed:
            return False

    async def page(self, prefix: str, following: str | None = None, size: int = PAGE) -> Page:
        """A page of the list of blobs, with their metadata."""

        query = {"restype": "container", "comp": "list", "include": "metadata"}
        query |= {"maxresults": str(size), "prefix": prefix, "marker": following or ""}
        sas = self._account.sas
        if self._account.key is not None:
            sas = generate_container_sas(
                self._account.name,
                self.container.container_name,
                account_key=self._account.key,
                permission="l",
                expiry=datetime.now(UTC) + LISTING,
            )
        asked = urlencode({name: value for name, value in query.items() if value}, quote_via=quote)
        url = f"{self._account.url}/{quote(self.container.container_name)}?{asked}"

        async def one() -> bytes:
            async with await self.open(f"{url}&{sas}" if sas else url, {}) as response:
                return await response.read()

        return await asyncio.to_thread(parse, await self.tried(one, size * 1024))

    async def delegation_key(self, begins: datetime, ends: datetime) -> UserDelegationKey:
        """A key that signs in the name of our identity."""
        return await self.tried(lambda: self.service.get_user_delegation_key(begins, ends))

    async def open(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """The bytes of a blob as they are stored, under way. Tries once.

        The SDK itself reads all that it asked for before it gives any of it.
        """
        if self._identity is not None:
            version = {"x-ms-version": self.container.api_version}
            headers = {**headers, **version, **await self._identity.authorization()}
        with translated():
            response = await self._session.get(
                URL(url, encoded=True),
                headers={"Accept-Encoding": "identity", **headers},
                timeout=self._timeout,
                allow_redirects=False,
            )
        if response.status in (200, 206):
            return response
        code = response.headers.get("x-ms-error-code", "")
        response.close()
        raise answered(response.status, code, response.reason or "")

    async def tried(self, request: Callable[[], Awaitable[T]], size: int = 0) -> T:
        """The outcome of a request of ``size`` bytes, tried again while that may help."""
        for attempt in range(1, self.attempts):
            try:
                return await self._once(request, size)
            except Failed as failed:
                if not failed.transient:
                    raise
            await asyncio.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        return await self._once(request, size)

    async def _once(self, request: Callable[[], Awaitable[T]], size: int) -> T:
        with translated():
            # aiohttp's time-outs begin when all is sent; a stalled upload would wait for ever.
            async with asyncio.timeout(self._patience + size / SLOWEST):
                return await request()


def _credential(account: Account, identity: Identity | None) -> Any:
    if account.key is not None:
        return AzureNamedKeyCredential(account.name, account.key)
    return AzureSasCredential(account.sas) if account.sas is not None else identity


def _is_gone(part: AsyncHttpResponse) -> bool:
    code: object = part.headers.get("x-ms-error-code")
    return part.status_code == 202 or code == "BlobNotFound"
