"""The Storage protocol on a container."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import aiohttp
from azure.storage.blob import BlobProperties, ContentSettings
from ulid import ULID

from app import errors
from app.models import Stored
from app.storage import keys, window
from app.storage.azure.account import Account
from app.storage.azure.failures import WHO, Failed
from app.storage.azure.listing import Found, described
from app.storage.azure.reading import FOLDER, Reading
from app.storage.azure.requests import LARGEST, Requests
from app.storage.azure.signing import Signer
from app.storage.azure.uploads import Blocks
from app.storage.checksum import Checksum
from app.storage.place import Place
from app.storage.resumed import resumed
from app.storage.settled import settled
from app.storage.verified import verified

ATTEMPT = "attempt"
"""The user metadata that tells whose a created key is."""
MAX_METADATA = 8 * 2**10 - 64
"""Bytes of user metadata that the store takes, less what a create adds."""
BATCH = 256
"""Blobs that one request deletes."""
READING = timedelta(minutes=20)
"""How long a URL lives that we read by ourselves."""

_TYPE = "application/octet-stream"
_FOREVER = "private, max-age=31536000, immutable"
_NEW = ContentSettings(content_type=_TYPE, cache_control="no-store")
_TAKEN = (409, 412)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?\Z")


class Container:
    """Storage in a container of Azure Blob Storage. ``ordered``: whether its lists are."""

    def __init__(
        self,
        requests: Requests,
        account: Account,
        place: Place,
        signer: Signer | None,
        *,
        public_url: str | None = None,
        ordered: bool = True,
    ) -> None:
        self._requests = requests
        self._account = account
        self._place = place
        self._signer = signer
        self._public = public_url or account.url
        self._ordered = ordered

    async def create(self, key: str, content: bytes) -> bool:
        name = self._name(key)
        attempt = str(ULID())
        taken: Failed | None = None
        for _ in range(self._requests.attempts):
            try:
                await self._requests.upload(
                    name, bytes(content), _NEW, {ATTEMPT: attempt}, create=True
                )
            except Failed as failed:
                if failed.status not in _TAKEN:
                    raise
                taken = failed
            else:
                return True
            # It may be ours: answers get lost, and requests are tried again.
            found = await self._requests.properties(name)
            if found is not None:
                return bool(found.metadata.get(ATTEMPT) == attempt)
        raise taken or AssertionError("there is one attempt at least")

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        name = self._name(key)
        kept = metadata if metadata and _carried(metadata) else {}
        checksum = Checksum(key, size=size, sha256=sha256)
        if size > LARGEST:
            await self._stream(name, content, checksum, kept)
            return
        body = bytearray()
        async for chunk in content:
            checksum.update(chunk)
            body += chunk
        checksum.verify()
        await settled(self._requests.upload(name, bytes(body), _settings(), kept))

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        keys.check_range(start, end)
        name = self._name(key)
        if end is not None and start >= end:
            if _blob(await self._requests.properties(name)) is None:
                raise errors.KeyNotFound(key)
            return
        reading = Reading(key, lambda headers: self._ask(name, headers), end)
        attempts = self._requests.attempts
        chunks = resumed(key, reading.begin, start, attempts=attempts)
        if start == 0 and end is None:
            chunks = verified(key, chunks, algorithm="md5", recorded=reading.recorded)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def head(self, key: str) -> Stored | None:
        found = _blob(await self._requests.properties(self._name(key)))
        return _stored(key, described(found)) if found else None

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        name = self._name(key)
        if self._signer is None:
            return None
        seconds = max(2, int(expires_in.total_seconds()))
        ends = window.opened(datetime.now(UTC), expires_in) + timedelta(seconds=seconds)
        return self._url(self._public, name, await self._signer.sas(name, ends))

    async def delete(self, key: str) -> None:
        await self._requests.delete(self._name(key))

    async def delete_many(self, keys: Sequence[str]) -> None:
        names = list(dict.fromkeys(map(self._name, keys)))
        failures: list[BaseException] = []
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            if len(batch) > 1 and await self._requests.delete_batch(batch):
                continue
            # Not every store takes batches, nor with every SAS token; and some blobs may stay.
            outcomes = await asyncio.gather(
                *map(self._requests.delete, batch), return_exceptions=True
            )
            failures += [outcome for outcome in outcomes if outcome is not None]
            if all(isinstance(o, Failed) and o.status == 0 for o in outcomes):
                break  # nobody is there
        if failures:
            raise failures[0]

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        keys.check_prefix(prefix)
        if self._ordered:
            last = ""
            async for stored in self._listed(prefix):
                if stored.key < last:
                    self._ordered = False  # not everybody may ask about folders at the start
                    raise Failed(f"{WHO} lists out of order; it will be sorted from now on")
                last = stored.key
                yield stored
            return
        for stored in sorted([s async for s in self._listed(prefix)], key=lambda s: s.key):
            yield stored

    async def _ask(self, name: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        sas = self._account.sas or ""
        if self._account.key is not None and self._signer is not None:
            now = datetime.now(UTC)
            sas = await self._signer.sas(name, window.opened(now, READING) + READING)
        return await self._requests.open(self._url(self._account.url, name, sas), headers)

    def _url(self, origin: str, name: str, query: str) -> str:
        path = f"{quote(self._place.bucket)}/{quote(name, safe='/~')}"
        return f"{origin}/{path}{query and '?'}{query}"

    def _name(self, key: str) -> str:
        return f"{self._place.prefix}{keys.check(key)}"

    async def _listed(self, prefix: str) -> AsyncIterator[Stored]:
        following: str | None = None
        while True:
            page = await self._requests.page(self._place.prefix + prefix, following)
            for found in page.blobs:
                # Consoles make an empty blob for a folder: the prefix itself is no key.
                key = found.name.removeprefix(self._place.prefix)
                if key and FOLDER not in found.metadata:
                    yield _stored(key, found)
            following = page.following
            if following is None:
                return

    async def _stream(
        self,
        name: str,
        content: AsyncIterator[bytes],
        checksum: Checksum,
        metadata: Mapping[str, str],
    ) -> None:
        md5 = hashlib.md5(usedforsecurity=False)
        blocks = Blocks(self._requests, name)
        try:
            async for chunk in content:
                checksum.update(chunk)
                md5.update(chunk)
                await blocks.add(chunk)
            checksum.verify()
            await blocks.arrived()
        except BaseException:
            await settled(blocks.abandon())
            raise
        await settled(self._requests.commit(name, blocks.sent, _settings(md5.digest()), metadata))


def _settings(md5: bytes | None = None) -> ContentSettings:
    content_md5 = bytearray(md5) if md5 is not None else None
    return ContentSettings(content_type=_TYPE, cache_control=_FOREVER, content_md5=content_md5)


def _blob(found: BlobProperties | None) -> BlobProperties | None:
    """What was found, unless it is a folder."""
    return None if found is None or FOLDER in (found.metadata or {}) else found


def _stored(key: str, found: Found) -> Stored:
    metadata = dict(found.metadata)
    metadata.pop(ATTEMPT, None)
    return Stored(
        key=key,
        size=found.size,
        modified=found.modified.astimezone(UTC),
        etag=found.etag.strip('"'),
        metadata=metadata,
    )


def _carried(metadata: Mapping[str, str]) -> bool:
    """Whether the store keeps all of it as it is: it travels in headers."""
    return (
        ATTEMPT not in metadata
        and FOLDER not in metadata
        and len({name.lower() for name in metadata}) == len(metadata)
        and all(_NAME.match(k) and _VALUE.match(v) for k, v in metadata.items())
        and sum(len(k) + len(v) for k, v in metadata.items()) <= MAX_METADATA
    )
