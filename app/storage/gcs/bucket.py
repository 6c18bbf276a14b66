"""The Storage protocol on a bucket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from ulid import ULID

from app import errors
from app.models import Stored
from app.storage import keys, window
from app.storage.checksum import Checksum
from app.storage.gcs import batches, uploads
from app.storage.gcs.client import Client
from app.storage.gcs.downloads import Reading
from app.storage.gcs.failures import Failed
from app.storage.gcs.listing import listed
from app.storage.gcs.signing import Signer, signed_url
from app.storage.options.gcs import GCSOptions
from app.storage.place import Place
from app.storage.resumed import resumed
from app.storage.settled import settled
from app.storage.verified import verified

ATTEMPT = "attempt"
"""The user metadata that tells whose a created key is."""

MAX_METADATA = 8 * 2**10 - 64
"""Bytes of user metadata that the store takes, less what a create adds."""

REMOVERS = 4
"""How many batches of keys are deleted at a time."""

_TYPE = "application/octet-stream"
_FOREVER = "private, max-age=31536000, immutable, no-transform"
_NEVER = "no-store, no-transform"

logger = logging.getLogger(__name__)


class Bucket:
    """Storage in a bucket of Google Cloud Storage."""

    def __init__(
        self, client: Client, place: Place, options: GCSOptions, signer: Signer | None
    ) -> None:
        self._client = client
        self._place = place
        self._signer = signer
        self._mute = False
        self._origin = options.public_url or client.endpoint
        self._class = {"storageClass": options.storage_class} if options.storage_class else {}
        chosen = {"predefinedAcl": options.predefined_acl, "kmsKeyName": options.kms_key_name}
        self._params = {name: value for name, value in chosen.items() if value}

    async def create(self, key: str, content: bytes) -> bool:
        name = self._name(key)
        attempt = str(ULID())
        md5 = hashlib.md5(content, usedforsecurity=False)
        resource = {
            "name": name,
            "contentType": _TYPE,
            "cacheControl": _NEVER,
            "md5Hash": base64.b64encode(md5.digest()).decode(),
            "metadata": {ATTEMPT: attempt},
        }
        params = {"ifGenerationMatch": "0", **self._params}
        try:
            await uploads.whole(self._client, resource, content, params)
        except Failed as failed:
            if failed.status != 412:
                raise
            # It may be ours: answers get lost, and requests are tried again.
            found = await self._client.metadata(name)
            return found is not None and found.get("metadata", {}).get(ATTEMPT) == attempt
        return True

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        resource = {
            "name": self._name(key),
            "contentType": _TYPE,
            "cacheControl": _FOREVER,
            **self._class,
            **({"metadata": dict(metadata)} if metadata and _carried(metadata) else {}),
        }
        checksum = Checksum(key, size=size, sha256=sha256)
        if size > uploads.CHUNK:
            source = uploads.Source(content, checksum, size)
            await uploads.streamed(self._client, resource, source, self._params)
            return
        body = bytearray()
        async for chunk in content:
            checksum.update(chunk)
            body += chunk
        checksum.verify()
        md5 = await asyncio.to_thread(hashlib.md5, body, usedforsecurity=False)
        resource["md5Hash"] = base64.b64encode(md5.digest()).decode()
        await settled(uploads.whole(self._client, resource, body, self._params))

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        keys.check_range(start, end)
        name = self._name(key)
        if end is not None and start >= end:
            if await self._client.metadata(name) is None:
                raise errors.KeyNotFound(key)
            return
        reading = Reading(self._client, key, name, end)
        chunks = resumed(key, reading.begin, start, attempts=self._client.attempts)
        if start == 0 and end is None:
            chunks = verified(key, chunks, algorithm="md5", recorded=reading.recorded)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def head(self, key: str) -> Stored | None:
        found = await self._client.metadata(self._name(key))
        return _stored(key, found) if found else None

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        name = self._name(key)
        if self._signer is None:
            return None
        lives = min(expires_in, self._signer.longest)
        begins = window.opened(datetime.now(UTC), lives)
        try:
            return await signed_url(
                self._signer, self._origin, self._place.bucket, name, begins, lives
            )
        except Failed as failed:
            if failed.transient:
                raise
            if not self._mute:
                logger.warning("No URLs can be signed, so this service hands out bytes: %s", failed)
            self._mute = True
            return None

    async def delete(self, key: str) -> None:
        await self._client.delete(self._name(key))

    async def delete_many(self, keys: Sequence[str]) -> None:
        names = list({self._name(key): None for key in keys})
        starts = iter(range(0, len(names), batches.LIMIT))
        failures: list[Failed] = []

        async def remove() -> None:
            for start in starts:
                batch = names[start : start + batches.LIMIT]
                for name in await batches.delete(self._client, batch):
                    try:
                        await self._client.delete(name)
                    except Failed as failed:
                        failures.append(failed)

        await asyncio.gather(*(remove() for _ in range(REMOVERS)))
        if failures:
            raise failures[0]

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        keys.check_prefix(prefix)
        async with aclosing(listed(self._client, self._place.prefix + prefix)) as resources:
            async for found in resources:
                # Consoles make an empty object for a folder: the prefix itself is no key.
                if key := found["name"].removeprefix(self._place.prefix):
                    yield _stored(key, found)

    def _name(self, key: str) -> str:
        return f"{self._place.prefix}{keys.check(key)}"


def _stored(key: str, resource: Mapping[str, Any]) -> Stored:
    metadata = dict(resource.get("metadata", {}))
    metadata.pop(ATTEMPT, None)
    return Stored(
        key=key,
        size=int(resource["size"]),
        modified=datetime.fromisoformat(resource["updated"]).astimezone(UTC),
        etag=str(resource["generation"]),
        metadata=metadata,
    )


def _carried(metadata: Mapping[str, str]) -> bool:
    """Whether the store keeps all of it as it is."""
    try:
        size = sum(len(k.encode()) + len(v.encode()) for k, v in metadata.items())
    except UnicodeEncodeError:
        return False
    return size <= MAX_METADATA and "" not in metadata and ATTEMPT not in metadata
