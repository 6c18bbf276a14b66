"""A body on its way out of the store, and whether it is what the store once took in."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from app import errors
from app.storage.azure.failures import WHO, Failed, translated
from app.storage.resumed import Body, nothing

FOLDER = "hdi_isfolder"
"""The metadata of what is a folder and no blob, where an account has folders."""

Ask = Callable[[Mapping[str, str]], Awaitable[aiohttp.ClientResponse]]
"""GETs the blob with these headers."""


@dataclass(slots=True)
class Reading:
    """The body of a blob, however many answers it comes in."""

    key: str
    ask: Ask
    end: int | None
    md5: str | None = None

    async def begin(self, start: int, etag: str | None) -> Body:
        """The body from ``start`` on; raises errors.KeyNotFound where there is none."""
        headers = {"If-Match": etag} if etag else {}
        if start or self.end is not None:
            last = "" if self.end is None else str(self.end - 1)
            headers["Range"] = f"bytes={start}-{last}"
        try:
            response = await self.ask(headers)
        except Failed as failed:
            if failed.status == 416:
                return Body(etag or "", 0, nothing())
            if failed.absent and etag is None:
                raise errors.KeyNotFound(self.key) from None
            raise
        if f"x-ms-meta-{FOLDER}" in response.headers:
            response.close()
            raise errors.KeyNotFound(self.key)
        if response.status == 200:
            self.md5 = self.md5 or response.headers.get("Content-MD5")
        length = response.content_length
        if length is None:
            response.close()
            raise Failed(f"{WHO} does not say how long {self.key} is")
        return Body(response.headers.get("ETag", ""), length, _chunks(response))

    def recorded(self) -> bytes | None:
        """The MD5 that the store keeps of the whole, if it does."""
        return None if self.md5 is None else base64.b64decode(self.md5)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    with translated():
        async with response:
            async for chunk in response.content.iter_any():
                yield chunk
