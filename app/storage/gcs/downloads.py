"""How bytes get out: as they are stored, whole, or with an error."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import aiohttp

from app import errors
from app.storage.gcs.client import WHO, Client
from app.storage.gcs.failures import Failed, translated
from app.storage.resumed import Body, nothing


@dataclass(slots=True)
class Reading:
    """The body of an object, however many answers it comes in."""

    client: Client
    key: str
    name: str
    end: int | None
    md5: str | None = None

    async def begin(self, start: int, etag: str | None) -> Body:
        headers = {}
        if start or self.end is not None:
            last = "" if self.end is None else str(self.end - 1)
            headers["Range"] = f"bytes={start}-{last}"
        try:
            response = await self.client.open(
                self.name, headers, **({"ifGenerationMatch": etag} if etag else {})
            )
        except Failed as failed:
            if failed.status == 416:
                return Body(etag or "", 0, nothing())
            if failed.absent and etag is None:
                raise errors.KeyNotFound(self.key) from None
            raise
        self.md5 = self.md5 or _hash_of(response.headers)
        length = response.content_length
        if length is None:
            response.close()
            raise Failed(f"{WHO} does not say how long {self.key} is")
        return Body(response.headers.get("X-Goog-Generation", ""), length, _chunks(response))

    def recorded(self) -> bytes | None:
        """The MD5 that the store keeps of the whole, if it does."""
        return None if self.md5 is None else base64.b64decode(self.md5)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    with translated(WHO):
        async with response:
            async for chunk in response.content.iter_any():
                yield chunk


def _hash_of(headers: Mapping[str, str]) -> str | None:
    """The MD5 that the store kept with the object; composed ones have none."""
    hashes = (part.strip().partition("=") for part in headers.get("X-Goog-Hash", "").split(","))
    return next((value for name, _, value in hashes if name == "md5"), None)
