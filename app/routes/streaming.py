"""Bodies that go through the service: verified as they pass, cut off rather than short."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app import answers, errors

BATCH = 2**20
"""Bytes that are hashed at a time, in a thread."""
INLINE = 2**15
"""No more bytes than this are hashed in the event loop: that takes less than a thread."""

logger = logging.getLogger(__name__)


class Streamed(Response):
    """A body of known length, whose first chunk is there already.

    It is ended by closing ``rest``, whatever happens: when the client leaves, what the storage
    opened is closed at once. An error of ours amid the body is logged in one line, and the
    answer is left unfinished, whereupon the server cuts the connection.
    """

    def __init__(
        self,
        first: bytes,
        rest: AsyncGenerator[bytes],
        *,
        status_code: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(status_code=status_code, headers=headers)
        self._first, self._rest = first, rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client is gone."""
        async with aclosing(self._rest):
            tasks = {
                asyncio.create_task(self._send(scope, send)),
                asyncio.create_task(_gone(receive)),
            }
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()

    async def _send(self, scope: Scope, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        chunk, self._first = self._first, b""
        try:
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await anext(self._rest, b"")
        except errors.PypicloudError as error:
            level = logging.ERROR if answers.status(error) == 500 else logging.WARNING
            request, kind = answers.request_id(scope), type(error).__name__
            logger.log(level, "request %s broke off: %s: %s", request, kind, error)
            if isinstance(error, errors.Corrupt):
                answers.note_damage(HTTPConnection(scope), error)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def part(chunks: AsyncIterator[bytes], *, filename: str, size: int) -> AsyncGenerator[bytes]:
    """``size`` bytes, none of the chunks empty; errors.BlobDamaged rather than more or fewer."""
    missing = size
    try:
        async for chunk in chunks:
            missing -= len(chunk)
            if missing < 0:
                break
            if chunk:
                yield chunk
    finally:
        if isinstance(chunks, AsyncGenerator):  # nearly all are
            await chunks.aclose()
    if missing:
        raise errors.BlobDamaged(f"{filename} has not the size that was recorded.")


async def whole(
    chunks: AsyncIterator[bytes], *, filename: str, size: int, sha256: str
) -> AsyncGenerator[bytes]:
    """All bytes of a file. The last chunk is held back until length and sha256 agree.

    Raises errors.BlobDamaged where they do not: before the first chunk if there is only one.
    """
    digest = hashlib.sha256()
    waiting: list[bytes] = []
    count, held = 0, b""
    async with aclosing(part(chunks, filename=filename, size=size)) as passing:
        async for chunk in passing:
            if held:
                yield held
            held = chunk
            waiting.append(chunk)
            count += len(chunk)
            if count >= BATCH:
                await _hash(digest, waiting)
                waiting, count = [], 0
    await _hash(digest, waiting)
    _require(digest, filename, sha256)
    if held:
        yield held


async def check(content: bytes, *, filename: str, sha256: str | None) -> None:
    """Return if these are the bytes with this sha256; else errors.BlobDamaged."""
    digest = hashlib.sha256()
    await _hash(digest, [content])
    _require(digest, filename, sha256)


def _require(digest: hashlib._Hash, filename: str, sha256: str | None) -> None:
    if digest.hexdigest() != sha256:
        raise errors.BlobDamaged(f"{filename} has not the sha256 that was recorded.")


async def _hash(digest: hashlib._Hash, chunks: list[bytes]) -> None:
    def update() -> None:
        for chunk in chunks:
            digest.update(chunk)

    if sum(map(len, chunks)) <= INLINE:
        update()
    else:
        await asyncio.to_thread(update)


async def _gone(receive: Receive) -> None:
    with suppress(HTTPException):  # a body that the guard does not take: nobody to send to
        while (await receive())["type"] != "http.disconnect":
            pass
