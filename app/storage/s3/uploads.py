"""Bytes on their way into a bucket: nothing is seen before all of them are there."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from typing import Any

from app import errors
from app.storage.checksum import Checksum
from app.storage.s3.client import Client
from app.storage.s3.failures import Refused
from app.storage.settled import settled, undisturbed

PART = 5 * 2**20
"""Bytes of a part, the least that S3 allows; smaller objects are sent at once."""
PARTS = 10_000
"""Parts that an object may have."""
PARALLEL = 3
"""Parts of one object under way at a time."""

logger = logging.getLogger(__name__)


def part_size(size: int, least: int = PART) -> int:
    """How long all parts but the last are: ``least``, or so many MiB that they are few enough."""
    mib = 2**20
    return least if size <= PARTS * least else -(-size // (PARTS * mib)) * mib


async def collected(content: AsyncIterator[bytes], checksum: Checksum) -> BytesIO:
    """All of a small body, verified."""
    body = BytesIO()
    async for chunk in content:
        checksum.update(chunk)
        body.write(chunk)
    checksum.verify()
    return body


class Upload:
    """A multipart upload of ``key`` (as the bucket knows it); ``kept`` goes with the object.

    ``landed`` asks the bucket whether the object under this key is the one of this upload.
    """

    def __init__(
        self,
        client: Client,
        key: str,
        kept: dict[str, Any],
        landed: Callable[[], Awaitable[bool]],
    ) -> None:
        self._client = client
        self._key = key
        self._kept = kept
        self._landed = landed
        self._id = ""
        self._parts: list[dict[str, Any]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def run(
        self, content: AsyncIterator[bytes], length: int, checksum: Checksum, size: int
    ) -> None:
        """Send ``size`` bytes in parts of this length, and let them be seen.

        Whatever is raised, nothing of them stays.
        """
        _, cancelled = await undisturbed(self._begin())
        try:
            if cancelled is not None:
                raise cancelled
            await self._send(content, length, checksum)
            checksum.verify()
            await settled(self._complete(size))
        except BaseException:
            await settled(self._abort())
            raise

    async def _begin(self) -> None:
        sha256 = self._client.options.checksums == "sha256"
        algorithm: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"} if sha256 else {}
        begun = await self._client.ask(
            "create_multipart_upload", Key=self._key, **self._kept, **algorithm
        )
        self._id = begun["UploadId"]
        if begun["ResponseMetadata"].get("RetryAttempts"):
            await self._abort_others()

    async def _abort_others(self) -> None:
        """Abort what was begun by attempts of the SDK whose answers were lost."""
        try:
            listed = await self._client.ask("list_multipart_uploads", Prefix=self._key)
            for upload in listed.get("Uploads", ()):
                if upload["Key"] == self._key and upload["UploadId"] != self._id:
                    await self._client.ask(
                        "abort_multipart_upload", Key=self._key, UploadId=upload["UploadId"]
                    )
        except errors.StorageUnavailable as error:
            logger.warning("An upload that was begun twice may stay in the bucket: %s", error)

    async def _send(self, content: AsyncIterator[bytes], length: int, checksum: Checksum) -> None:
        body = BytesIO()
        async for chunk in content:
            checksum.update(chunk)
            rest = memoryview(chunk)
            while rest:
                taken = body.write(rest[: length - body.tell()])
                rest = rest[taken:]
                if body.tell() == length:
                    await self._part(body)
                    body = BytesIO()
        if body.tell():
            await self._part(body)
        while self._sending:
            await self._sent()

    async def _part(self, body: BytesIO) -> None:
        """Send a part, as soon as fewer than PARALLEL are under way."""
        while len(self._sending) >= PARALLEL:
            await self._sent()
        part: dict[str, Any] = {"PartNumber": len(self._parts) + 1}
        self._parts.append(part)
        self._sending.add(asyncio.create_task(self._send_part(part, body)))

    async def _sent(self) -> None:
        """Wait for one part at least."""
        done, self._sending = await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
        for failed in [task.exception() for task in done]:
            if failed is not None:
                raise failed

    async def _send_part(self, part: dict[str, Any], body: BytesIO) -> None:
        view = body.getbuffer()
        sums = await asyncio.to_thread(self._verified, view)
        size = len(view)
        view.release()
        sent = await self._client.ask(
            "upload_part",
            size=size,
            Key=self._key,
            UploadId=self._id,
            PartNumber=part["PartNumber"],
            Body=body,
            **sums,
        )
        part["ETag"] = sent["ETag"]
        if "ChecksumSHA256" in sums:
            part["ChecksumSHA256"] = sums["ChecksumSHA256"]

    def _verified(self, view: memoryview) -> dict[str, str]:
        return self._client.verified(view, hashlib.sha256(view).hexdigest())

    async def _complete(self, size: int) -> None:
        try:
            await self._client.ask(
                "complete_multipart_upload",
                size=size,
                Key=self._key,
                UploadId=self._id,
                MultipartUpload={"Parts": self._parts},
            )
        except errors.StorageUnavailable:
            # The answer may be lost, or that to an earlier attempt of the SDK.
            if not await self._landed():
                raise

    async def _abort(self) -> None:
        """Leave no part behind; where that fails, the bucket's own rules may clean up."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        try:
            await self._client.ask("abort_multipart_upload", Key=self._key, UploadId=self._id)
        except Refused as refused:
            if refused.code != "NoSuchUpload":
                logger.warning("Parts of an upload stay in the bucket: %s", refused)
        except errors.StorageUnavailable as error:
            logger.warning("Parts of an upload stay in the bucket: %s", error)
