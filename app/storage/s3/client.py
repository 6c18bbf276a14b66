"""The requests that are made of one bucket, each bounded in time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from typing import Any

import aiohttp
from botocore.exceptions import ClientError

from app.storage.options.s3 import S3Options
from app.storage.s3.failures import attempts, code, status, translated

SLOWEST = 2**16
"""Bytes a second: an upload that is slower counts as stuck."""
LONGEST_PAUSE = 20
"""Seconds between two attempts of the SDK, at the most."""


class Client:
    """The SDK's client (``sdk``) for ``bucket``; the SDK tries again by itself."""

    def __init__(self, sdk: Any, bucket: str, options: S3Options) -> None:
        self.bucket = bucket
        self.options = options
        self._sdk = sdk
        each = options.connect_timeout + options.read_timeout
        pauses = sum(min(2**n, LONGEST_PAUSE) for n in range(options.attempts - 1))
        self.patience = options.attempts * each.total_seconds() + pauses
        """Seconds that a request may take with all its attempts."""

    async def ask(self, operation: str, *, size: int = 0, **parameters: Any) -> dict[str, Any]:
        """The answer to an operation that sends ``size`` bytes; its body may still be to come.

        Raises Refused for an answer that is an error, errors.StorageUnavailable for none.
        """
        with translated():
            async with asyncio.timeout(self.patience + size / SLOWEST):
                return await self._patiently(operation, parameters)

    async def _patiently(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Ask again where the SDK does not.

        An error's body broke off, it was a 429, or our XML changed on its way.
        """
        tried = 0
        while True:
            try:
                return await self._asked(operation, parameters)
            except (aiohttp.ClientPayloadError, aiohttp.ServerTimeoutError):
                tried += 1
                if tried >= self.options.attempts:
                    raise
            except ClientError as error:
                tried += attempts(error)
                again = status(error) == 429 or code(error) == "MalformedXML"
                if not again or tried >= self.options.attempts:
                    raise
                await asyncio.sleep(random.uniform(0, min(2**tried, LONGEST_PAUSE)))  # noqa: S311

    async def _asked(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if "Body" in parameters:
            parameters["Body"].seek(0)
        answer: dict[str, Any] = await getattr(self._sdk, operation)(
            Bucket=self.bucket, **parameters
        )
        return answer

    def kept(self, *, blob: bool) -> dict[str, str]:
        """How a new object is to be kept; ``blob`` says that it is not of the journal."""
        options = self.options
        chosen = {
            "ContentType": "application/octet-stream",
            "ServerSideEncryption": options.encryption,
            "SSEKMSKeyId": options.kms_key_id,
            "ACL": options.acl,
            "StorageClass": options.storage_class if blob else None,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def verified(self, content: bytes | memoryview, sha256: str) -> dict[str, str]:
        """What makes the store verify ``content``, the sha256 of which is known."""
        match self.options.checksums:
            case "sha256":
                return {"ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode()}
            case "md5":
                md5 = hashlib.md5(content, usedforsecurity=False).digest()
                return {"ContentMD5": base64.b64encode(md5).decode()}
            case "none":
                return {}
