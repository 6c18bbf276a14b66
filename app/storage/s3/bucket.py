"""The storage in a bucket."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import FlexibleChecksumError
from ulid import ULID

from app import errors
from app.models import Stored
from app.storage import keys
from app.storage.checksum import Checksum
from app.storage.resumed import Body, resumed
from app.storage.s3 import listing
from app.storage.s3 import metadata as user_metadata
from app.storage.s3.client import Client
from app.storage.s3.failures import Refused, translated
from app.storage.s3.uploads import Upload, collected, finished, part_size

CHUNK = 2**18
BATCH = 1000
"""Keys that one request can remove."""
CONFLICTS = 10
"""Attempts at a create that another one gets in the way of."""

Sign = Callable[[str, datetime, timedelta], Awaitable[str | None]]
"""A URL of a key of the bucket, as of now, that lives so long."""


class S3Storage:
    """Storage in a bucket, below ``prefix``; ``sign`` says where clients get a key.

    ``by_folder``: the store's order of keys is that of folders.
    """

    def __init__(self, client: Client, prefix: str, sign: Sign, *, by_folder: bool = False) -> None:
        self._client = client
        self._prefix = prefix
        self._sign = sign
        self._by_folder = by_folder

    async def create(self, key: str, content: bytes) -> bool:
        name = self._prefix + keys.check(key)
        attempt = str(ULID())
        sha256 = hashlib.sha256(content).hexdigest()
        parameters = {
            **self._client.kept(blob=False),
            **self._client.verified(content, sha256),
            "Metadata": user_metadata.written({}, attempt=attempt, sha256=sha256),
        }
        for turn in range(CONFLICTS):
            try:
                await self._client.ask(
                    "put_object",
                    size=len(content),
                    Key=name,
                    Body=bytes(content),
                    IfNoneMatch="*",
                    **parameters,
                )
                return True
            except Refused as refused:
                if refused.status not in (409, 412):
                    raise
                found = await self._found(key)
                if found is not None:
                    return user_metadata.wrote(found, attempt)
                last = refused
            await asyncio.sleep(random.uniform(0, 0.05) * 2 ** min(turn, 5))  # noqa: S311  # jitter
        raise last

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        name = self._prefix + keys.check(key)
        checksum = Checksum(key, size=size, sha256=sha256)
        attempt = str(ULID())
        kept: dict[str, Any] = {
            **self._client.kept(blob=True),
            "Metadata": user_metadata.written(metadata or {}, attempt=attempt, sha256=sha256),
        }
        if size > part_size(size):
            if not await Upload(self._client, name, kept).run(content, size, checksum):
                found = await self._found(key)
                if found is None or not user_metadata.wrote(found, attempt):
                    raise errors.StorageUnavailable(f"The storage lost the upload of {key}")
            return
        body = await collected(content, checksum)
        sums = self._client.verified(body.getvalue(), sha256)
        put = self._client.ask("put_object", size=size, Key=name, Body=body, **kept, **sums)
        body.seek(0)
        await finished(put)

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        keys.check(key)
        keys.check_range(start, end)
        if end is not None and end <= start:
            if await self._found(key) is None:
                raise errors.KeyNotFound(key)
            return
        whole = Whole(key) if start == 0 and end is None else None
        begin = partial(self._begin, key, end, whole)
        attempts = self._client.options.attempts
        async with aclosing(resumed(key, begin, start, attempts=attempts)) as chunks:
            async for chunk in chunks:
                if whole is not None:
                    whole.update(chunk)
                yield chunk
        if whole is not None:
            whole.verify()

    async def head(self, key: str) -> Stored | None:
        found = await self._found(keys.check(key))
        if found is None:
            return None
        return Stored(
            key=key,
            size=found["ContentLength"],
            modified=found["LastModified"].astimezone(UTC),
            etag=found["ETag"].strip('"'),
            metadata=user_metadata.read(found["Metadata"]),
        )

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        return await self._sign(self._prefix + keys.check(key), datetime.now(UTC), expires_in)

    async def delete(self, key: str) -> None:
        await self._client.ask("delete_object", Key=self._prefix + keys.check(key))

    async def delete_many(self, many: Sequence[str]) -> None:
        names = [self._prefix + keys.check(key) for key in many]
        batches = [names[n : n + BATCH] for n in range(0, len(names), BATCH)]
        outcomes = [await self._delete_batch(batch) for batch in batches]
        for failed in outcomes:
            if failed is not None:
                raise failed

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        keys.check_prefix(prefix)
        listed = listing.ascending(self._client, self._prefix + prefix, by_folder=self._by_folder)
        async for found in listed:
            if key := found["Key"].removeprefix(self._prefix):
                yield Stored(
                    key=key,
                    size=found["Size"],
                    modified=found["LastModified"].astimezone(UTC),
                    etag=found["ETag"].strip('"'),
                )

    async def _found(self, key: str) -> dict[str, Any] | None:
        """What HEAD says of the key; None where it is not there."""
        try:
            return await self._client.ask("head_object", Key=self._prefix + key)
        except Refused as refused:
            if refused.status != 404:
                raise
        # That answer has no body, so it may mean the bucket.
        try:
            opened = await self._client.ask("get_object", Key=self._prefix + key, Range="bytes=0-0")
        except Refused as refused:
            if refused.absent:
                return None
            raise
        opened["Body"].close()
        return await self._client.ask("head_object", Key=self._prefix + key)

    async def _begin(
        self, key: str, end: int | None, whole: Whole | None, position: int, etag: str | None
    ) -> Body:
        asked: dict[str, Any] = {} if etag is None else {"IfMatch": f'"{etag}"'}
        if position or end is not None:
            asked["Range"] = f"bytes={position}-{'' if end is None else end - 1}"
        elif self._client.options.checksums == "sha256":
            asked["ChecksumMode"] = "ENABLED"
        try:
            opened = await self._client.ask("get_object", Key=self._prefix + key, **asked)
        except Refused as refused:
            if refused.absent:
                raise errors.KeyNotFound(key) from None
            if refused.status == 416:
                return Body("", 0, _nothing())
            raise
        if whole is not None:
            whole.sha256 = opened["Metadata"].get(user_metadata.SHA256)
        return Body(
            opened["ETag"].strip('"'), opened["ContentLength"], _chunks(key, opened["Body"])
        )

    async def _delete_batch(self, names: list[str]) -> errors.StorageUnavailable | None:
        """Why the keys, or some of them, were not removed."""
        objects = {"Objects": [{"Key": name} for name in names], "Quiet": True}
        try:
            answer = await self._client.ask("delete_objects", Delete=objects)
        except errors.StorageUnavailable as error:
            return error
        if not (failed := answer.get("Errors")):
            return None
        return errors.StorageUnavailable(
            f"The storage did not remove {len(failed)} keys: {failed[0].get('Code')}"
        )


class Whole:
    """A body that is read whole, and the sha256 that was recorded with it."""

    def __init__(self, key: str) -> None:
        self.sha256: str | None = None
        self._key = key
        self._hash = hashlib.sha256()

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._hash.update(chunk)

    def verify(self) -> None:
        """errors.BlobDamaged where they were others."""
        if self.sha256 is not None and self._hash.hexdigest() != self.sha256:
            raise errors.BlobDamaged(f"{self._key}: the bytes that came are not those recorded")


async def _chunks(key: str, body: Any) -> AsyncGenerator[bytes, None]:
    try:
        while chunk := await _read(key, body):
            yield chunk
    finally:
        body.close()


async def _read(key: str, body: Any) -> bytes:
    try:
        with translated():
            chunk: bytes = await body.read(CHUNK)
            return chunk
    except FlexibleChecksumError:
        raise errors.BlobDamaged(f"{key}: the bytes have not the checksum of the storage") from None


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield b""
