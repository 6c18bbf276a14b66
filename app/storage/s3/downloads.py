"""Bytes on their way out of a bucket: what comes is whole, or raises."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from botocore.exceptions import FlexibleChecksumError

from app import errors
from app.storage.resumed import Body, nothing, resumed
from app.storage.s3 import metadata
from app.storage.s3.client import Client
from app.storage.s3.failures import Refused, translated
from app.storage.verified import verified

CHUNK = 2**18
"""Bytes of a chunk, at the most."""


class Download:
    """The bytes of ``name`` (as the bucket knows the key) from ``start`` to before ``end``."""

    def __init__(self, client: Client, key: str, name: str, start: int, end: int | None) -> None:
        self._client = client
        self._key = key
        self._name = name
        self._start = start
        self._end = end
        self._whole = start == 0 and end is None
        self._sha256: bytes | None = None

    def chunks(self) -> AsyncGenerator[bytes]:
        """All of them. What is read whole and has not the sha256 kept with it raises."""
        attempts = self._client.options.attempts
        body = resumed(self._key, self._begin, self._start, attempts=attempts)
        if not self._whole:
            return body
        return verified(self._key, body, algorithm="sha256", recorded=lambda: self._sha256)

    async def _begin(self, position: int, etag: str | None) -> Body:
        asked: dict[str, Any] = {} if etag is None else {"IfMatch": f'"{etag}"'}
        if position or self._end is not None:
            asked["Range"] = f"bytes={position}-{'' if self._end is None else self._end - 1}"
        elif self._client.options.checksums == "sha256":
            # Not with a range: some stores would send the checksum of the whole.
            asked["ChecksumMode"] = "ENABLED"
        try:
            answer = await self._client.ask("get_object", Key=self._name, **asked)
        except Refused as refused:
            if refused.absent:
                raise errors.KeyNotFound(self._key) from None
            if refused.status == 416 and etag is None:
                return Body("", 0, nothing())
            raise
        if self._whole and etag is None:
            self._sha256 = metadata.recorded(answer["Metadata"])
        chunks = _chunks(self._key, answer["Body"])
        return Body(answer["ETag"].strip('"'), answer["ContentLength"], chunks)


async def _chunks(key: str, body: Any) -> AsyncGenerator[bytes, None]:
    try:
        while chunk := await _read(key, body):
            yield chunk
    finally:
        body.close()


async def _read(key: str, body: Any) -> bytes:
    # Not by ``async with body``: what that gives verifies nothing.
    try:
        with translated(FlexibleChecksumError):
            chunk: bytes = await body.read(CHUNK)
            return chunk
    except FlexibleChecksumError:
        raise errors.BlobDamaged(f"{key}: the bytes have not the checksum of the storage") from None
