"""How the SDK's requests go out: by a session that they share with our own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import MutableMapping
from typing import Any

from azure.core.pipeline.transport import AioHttpTransport

AT_ONCE = 2**20
"""Bytes that aiohttp hands to a connection in one go; above that, it warns."""

BRIEF = 2**17
"""Bytes that are hashed at once: a fifth of a millisecond."""


class Transport(AioHttpTransport):  # type: ignore[misc]  # imported on demand, so mypy knows no type
    """Sends large bodies in slices, so that the event loop is not held up."""

    async def send(
        self,
        request: Any,
        *,
        stream: bool = False,
        proxies: MutableMapping[str, str] | None = None,
        **config: Any,
    ) -> Any:
        if isinstance(request.data, bytes) and len(request.data) > AT_ONCE:
            request.data = io.BytesIO(request.data)
        return await super().send(request, stream=stream, proxies=proxies, **config)


async def verified_by(body: bytes) -> dict[str, str]:
    """The header by which the store verifies a body; the SDK would hash it in the event loop."""
    hashed = asyncio.to_thread(_md5, body) if len(body) > BRIEF else None
    return {"Content-MD5": await hashed if hashed else _md5(body)}


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
