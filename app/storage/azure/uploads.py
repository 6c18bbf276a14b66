"""How many bytes get in: block by block, some of them under way at once."""

from __future__ import annotations

import asyncio
import base64

from ulid import ULID

from app.storage.azure.requests import Requests

BLOCK = 2**22
"""Bytes of a block, at least. A blob has 50,000 of them at most: 195 GiB."""
UNDER_WAY = 3
"""Blocks that are sent at once, beside the one that is filled."""


class Blocks:
    """The blocks of a blob, of ``length`` bytes. Nothing of them is seen until they are committed.

    Those that never are, the store forgets after a week.
    """

    def __init__(self, requests: Requests, name: str, *, length: int = BLOCK) -> None:
        self._requests = requests
        self._name = name
        self._attempt = ULID()
        self._length = length
        self._size = 0
        self._held: list[bytes] = []
        self._sending: set[asyncio.Task[None]] = set()
        self.sent: list[str] = []

    async def add(self, chunk: bytes) -> None:
        """Take more bytes; with them a block is begun to be sent, or not yet."""
        self._held.append(chunk)
        self._size += len(chunk)
        if self._size >= self._length:
            await self._send()

    async def arrived(self) -> None:
        """Send what is left, and return when all is kept."""
        if self._held:
            await self._send()
        while self._sending:
            await self._some(asyncio.FIRST_EXCEPTION)

    async def abandon(self) -> None:
        """Send no more."""
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self) -> None:
        while len(self._sending) >= UNDER_WAY:
            await self._some(asyncio.FIRST_COMPLETED)
        body = b"".join(self._held)
        self._held.clear()
        self._size = 0
        # All identifiers of a blob have the same length.
        block = base64.b64encode(f"{self._attempt}{len(self.sent):06}".encode()).decode()
        self.sent.append(block)
        self._sending.add(asyncio.create_task(self._requests.stage(self._name, block, body)))

    async def _some(self, which: str) -> None:
        done, self._sending = await asyncio.wait(self._sending, return_when=which)
        for failure in [sent.exception() for sent in done]:
            if failure is not None:
                raise failure
