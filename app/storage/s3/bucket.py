"""The storage in a bucket."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from ulid import ULID

from app import errors
from app.models import Stored
from app.storage import keys
from app.storage.checksum import Checksum
from app.storage.s3 import listing
from app.storage.s3 import metadata as user_metadata
from app.storage.s3.client import Client
from app.storage.s3.downloads import Download
from app.storage.s3.failures import Refused
from app.storage.s3.uploads import PART, Upload, collected, part_size
from app.storage.settled import settled

BATCH = 1000
"""Keys that one request can remove."""
ABREAST = 8
"""Requests of one ``delete_many`` at a time."""
CONFLICTS = 10
"""How often a create is tried again that another one got in the way of."""
LOCKS = 64
"""Creates that can be under way in a store without create-only writes."""

Sign = Callable[[str, datetime, timedelta], Awaitable[str | None]]
"""A URL of a key of the bucket, as of now, that lives so long."""


class S3Storage:
    """Storage in a bucket, below ``prefix``; ``sign`` says where clients get a key.

    ``by_folder``: the store's order of keys is that of folders. ``part``: how long the parts of
    a large object are at the least, in bytes.
    """

    def __init__(
        self,
        client: Client,
        prefix: str,
        sign: Sign,
        *,
        by_folder: bool = False,
        part: int = PART,
    ) -> None:
        self.client = client
        self.sign = sign
        self._prefix = prefix
        self._part = part
        self.by_folder = by_folder
        self._alone = [asyncio.Lock() for _ in range(LOCKS)]

    async def create(self, key: str, content: bytes) -> bool:
        name = self._prefix + keys.check(key)
        if self.client.options.create_only:
            return await self._create(key, name, content, IfNoneMatch="*")
        async with self._alone[hash(key) % len(self._alone)]:
            return await self._found(key) is None and await self._create(key, name, content)

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
            **self.client.kept(blob=True),
            "Metadata": user_metadata.written(metadata or {}, attempt=attempt, sha256=sha256),
        }
        part = part_size(size, self._part)
        if size > part:

            async def landed() -> bool:
                found = await self._found(key)
                return found is not None and user_metadata.wrote(found, attempt)

            await Upload(self.client, name, kept, landed).run(content, part, checksum, size)
            return
        body = await collected(content, checksum)
        sums = self.client.verified(body.getvalue(), sha256)
        put = self.client.ask("put_object", size=size, Key=name, Body=body, **kept, **sums)
        await settled(put)

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        keys.check(key)
        keys.check_range(start, end)
        if end is not None and end <= start:
            if await self._found(key) is None:
                raise errors.KeyNotFound(key)
            return
        download = Download(self.client, key, self._prefix + key, start, end)
        async with aclosing(download.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

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
        return await self.sign(self._prefix + keys.check(key), datetime.now(UTC), expires_in)

    async def delete(self, key: str) -> None:
        await self.client.ask("delete_object", Key=self._prefix + keys.check(key))

    async def delete_many(self, many: Sequence[str]) -> None:
        names = [self._prefix + keys.check(key) for key in many]
        if self.client.options.checksums == "sha256":
            size, delete = BATCH, self._delete_batch
        else:  # the SDK sends a checksum with a batch, whatever it is told
            size, delete = 1, self._delete_one
        batches = [names[n : n + size] for n in range(0, len(names), size)]
        failed: BaseException | None = None
        for n in range(0, len(batches), ABREAST):
            deleting = (delete(batch) for batch in batches[n : n + ABREAST])
            outcomes = await asyncio.gather(*deleting, return_exceptions=True)
            failed = failed or next(filter(None, outcomes), None)
        if failed is not None:
            raise failed

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        keys.check_prefix(prefix)
        begin = self._prefix + prefix
        last = ""
        async with aclosing(
            listing.ascending(self.client, begin, by_folder=self.by_folder)
        ) as listed:
            async for found in listed:
                key = found["Key"].removeprefix(self._prefix)
                if not key:
                    continue
                if key <= last:
                    raise errors.StorageUnavailable("The storage lists keys out of their order")
                last = key
                yield Stored(
                    key=key,
                    size=found["Size"],
                    modified=found["LastModified"].astimezone(UTC),
                    etag=found["ETag"].strip('"'),
                )

    async def _create(self, key: str, name: str, content: bytes, **only: str) -> bool:
        attempt = str(ULID())
        sha256 = hashlib.sha256(content).hexdigest()
        parameters: dict[str, Any] = {
            "Key": name,
            "Metadata": user_metadata.written({}, attempt=attempt, sha256=sha256),
            **self.client.kept(blob=False),
            **self.client.verified(content, sha256),
            **only,
        }
        turn = 0
        while True:
            try:
                await self.client.ask(
                    "put_object", size=len(content), Body=BytesIO(content), **parameters
                )
                return True
            except Refused as refused:
                if refused.status not in (409, 412):
                    raise
                # The SDK may have asked before, and the answer been lost.
                found = await self._found(key)
                if found is not None:
                    return user_metadata.wrote(found, attempt)
                if turn == CONFLICTS:
                    raise
            await asyncio.sleep(random.uniform(0.01, 0.1) * 2 ** min(turn, 4))  # noqa: S311  # jitter
            turn += 1

    async def _found(self, key: str) -> dict[str, Any] | None:
        """What HEAD says of the key; None where it is not there."""
        try:
            return await self.client.ask("head_object", Key=self._prefix + key)
        except Refused as refused:
            if refused.status != 404:
                raise
        # That answer has no body, so it may mean the bucket.
        try:
            opened = await self.client.ask("get_object", Key=self._prefix + key, Range="bytes=0-0")
        except Refused as refused:
            if refused.absent:
                return None
            raise
        opened["Body"].close()
        return await self.client.ask("head_object", Key=self._prefix + key)

    async def _delete_one(self, names: list[str]) -> None:
        [name] = names
        await self.client.ask("delete_object", Key=name)

    async def _delete_batch(self, names: list[str]) -> None:
        objects = [{"Key": name} for name in names]
        answer = await self.client.ask(
            "delete_objects",
            Delete={"Objects": objects, "Quiet": True},
            ChecksumAlgorithm="SHA256",
        )
        if failed := answer.get("Errors"):
            raise errors.StorageUnavailable(
                f"The storage did not remove {len(failed)} keys: {failed[0].get('Code')}"
            )
