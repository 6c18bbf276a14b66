"""How bytes get in: in one request where they are few, else by a resumable session."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from app.storage.checksum import Checksum
from app.storage.gcs.client import Buffer, Client, Resource, pause
from app.storage.gcs.failures import Failed
from app.storage.settled import settled, undisturbed

QUANTUM = 2**18
"""All chunks of a session but the last are multiples of it."""

CHUNK = 32 * QUANTUM
"""Bytes that are held, to be sent again from wherever the store stopped: 8 MiB."""

CANCEL = 5.0
"""Seconds that the store may take to forget a session; after a week it does so by itself."""

_INCOMPLETE = 308
_JSON = "application/json; charset=UTF-8"
_RANGE = re.compile(r"bytes=0-(\d+)\Z")


class Source(NamedTuple):
    """The bytes of a put, and what was promised of them."""

    content: AsyncIterator[bytes]
    checksum: Checksum
    size: int


async def whole(
    client: Client, resource: Resource, content: Buffer, params: Mapping[str, str]
) -> Resource:
    """Write an object in one request, tried again while that may help; returns its resource."""
    boundary = secrets.token_hex(16)
    head = (
        f"--{boundary}\r\nContent-Type: {_JSON}\r\n\r\n{json.dumps(resource)}\r\n"
        f"--{boundary}\r\nContent-Type: {resource['contentType']}\r\n\r\n"
    )
    body = b"".join([head.encode(), content, f"\r\n--{boundary}--\r\n".encode()])
    answer = await client.tried(
        lambda: client.send(
            "POST",
            _url(client),
            body,
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
            params={"uploadType": "multipart", **params},
        )
    )
    return answer.resource


class Session:
    """A resumable upload of ``size`` bytes. Its URL is a secret: whoever knows it can write."""

    def __init__(self, client: Client, url: str, size: int) -> None:
        self._client = client
        self._url = url
        self._size = size
        self._kept = 0

    @classmethod
    async def begin(
        cls, client: Client, resource: Resource, size: int, params: Mapping[str, str]
    ) -> Session:
        """Open one; nothing of it can be seen until its last byte came."""
        answer = await client.tried(
            lambda: client.send(
                "POST",
                _url(client),
                json.dumps(resource).encode(),
                headers={
                    "Content-Type": _JSON,
                    "X-Upload-Content-Type": resource["contentType"],
                    "X-Upload-Content-Length": str(size),
                },
                params={"uploadType": "resumable", **params},
            )
        )
        url = answer.headers.get("Location")
        if url is None:
            raise Failed("Google Cloud Storage opened no upload session")
        return cls(client, url, size)

    async def send(self, piece: Buffer, *, hashes: str | None = None) -> Resource | None:
        """Send the next bytes; the resource once all ``size`` of them are there.

        With the last ones go the ``hashes`` of all (``md5=BASE64``), which the store verifies
        before the object can be seen. Whatever got lost underway is sent again.
        """
        start, end = self._kept, self._kept + len(piece)
        view = memoryview(piece)
        headers = {"X-Goog-Hash": hashes} if hashes else {}
        failures = 0
        while True:
            before = self._kept
            try:
                done = await self._put(view[before - start :], headers)
            except Failed as failed:
                if not failed.transient or failures + 1 >= self._client.attempts:
                    raise
                await pause(failures + 1)
                done = await self._client.tried(lambda: self._put(memoryview(b""), {}))
            if done is not None or (self._kept == end < self._size):
                return done
            if not start <= self._kept <= end:
                raise Failed("Google Cloud Storage lost bytes of an upload that it had kept")
            failures = 0 if self._kept > before else failures + 1
            if failures >= self._client.attempts:
                raise Failed("Google Cloud Storage keeps no more bytes of an upload")

    async def cancel(self) -> None:
        """Have the store forget it, if it answers in time."""
        # It answers 499; that it may not be reached is why we may be here.
        with suppress(Failed, TimeoutError):
            async with asyncio.timeout(CANCEL):
                await self._client.send("DELETE", self._url, anonymous=True)

    async def _put(self, piece: memoryview, headers: Mapping[str, str]) -> Resource | None:
        """Send bytes, or none to be told what was kept."""
        last = self._kept + len(piece) - 1
        extent = f"{self._kept}-{last}" if piece else "*"
        answer = await self._client.send(
            "PUT",
            self._url,
            piece,
            headers={"Content-Range": f"bytes {extent}/{self._size}", **headers},
            anonymous=True,
        )
        if answer.status != _INCOMPLETE:
            return answer.resource
        kept = _RANGE.match(answer.headers.get("Range", ""))
        self._kept = int(kept[1]) + 1 if kept else 0
        return None


async def streamed(
    client: Client, resource: Resource, source: Source, params: Mapping[str, str]
) -> None:
    """Write an object of more than a chunk, holding a chunk at a time.

    The last bytes go when all were verified, for they commit. Nothing is left of an upload that
    fails.
    """
    # In a thread: a chunk takes as long as some hundred requests.
    md5 = hashlib.md5(usedforsecurity=False)
    held = bytearray()
    session: Session | None = None
    try:
        async for chunk in source.content:
            source.checksum.update(chunk)
            held += chunk
            while len(held) > CHUNK:
                if session is None:
                    begin = Session.begin(client, resource, source.size, params)
                    opened, cancelled = await undisturbed(begin)
                    session = opened
                    if cancelled is not None:
                        raise cancelled
                rest = held[CHUNK:]
                del held[CHUNK:]
                await asyncio.gather(session.send(held), asyncio.to_thread(md5.update, held))
                held = rest
        source.checksum.verify()
        assert session is not None  # noqa: S101  # there was more than a chunk
        await asyncio.to_thread(md5.update, held)
        await settled(_commit(client, session, held, md5.digest()))
    except BaseException:
        if session is not None:
            await settled(session.cancel())
        raise


async def _commit(client: Client, session: Session, last: Buffer, md5: bytes) -> None:
    expected = base64.b64encode(md5).decode()
    resource = await session.send(last, hashes=f"md5={expected}")
    if resource and resource.get("md5Hash", expected) != expected:
        # A store that did not look at the hash it was given.
        generation = str(resource["generation"])
        await client.delete(resource["name"], ifGenerationMatch=generation)
        raise Failed("Google Cloud Storage kept other bytes than were sent; they were removed")


def _url(client: Client) -> str:
    return f"{client.endpoint}/upload/storage/v1/b/{client.bucket}/o"
