"""Descriptions, rendered in a process of their own each, and kept by their hash."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections import OrderedDict

from app import errors, unbroken
from app.web.child import answered
from app.web.facts import Document

LIMIT = 1 << 20
"""Bytes of a description that are rendered; a longer one is shown as plain text."""
DEADLINE = 15.0
"""Seconds by the clock; by the processor it has two."""
WAITING = 64
AGAIN = 60.0
"""Seconds after which one that was not rendered is tried again: the machine may have been busy."""
logger = logging.getLogger(__name__)


class Descriptions:
    """Renders descriptions, ``at_once`` of them together, and keeps ``memory`` bytes of HTML."""

    def __init__(self, *, at_once: int = 2, memory: int = 32 << 20) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._memory = memory
        self._used = 0
        self._kept: OrderedDict[bytes, tuple[str | None, float]] = OrderedDict()
        self._coming: dict[bytes, asyncio.Task[str | None]] = {}

    async def html(self, document: Document) -> str | None:
        """Safe HTML; None where it cannot be made in the time and memory that there is.

        Raises errors.Busy where too many wait already.
        """
        text = document.text.encode("utf-8", "replace")
        if len(text) > LIMIT:
            return None
        key = hashlib.sha256(document.type.encode() + b"\0" + text).digest()
        made, until = self._kept.get(key, (None, 0.0))
        if time.monotonic() < until:
            self._kept.move_to_end(key)
            return made
        if (task := self._coming.get(key)) is None:
            if len(self._coming) >= WAITING:
                raise errors.Busy("Too many descriptions are being rendered; try again.")
            task = self._coming[key] = unbroken.begun(self._made(key, text, document.type))
            task.add_done_callback(lambda _: self._coming.pop(key, None))
        return await asyncio.shield(task)

    async def _made(self, key: bytes, text: bytes, kind: str) -> str | None:
        async with self._turns:
            made = await _rendered(text, kind)
        if key in self._kept:
            self._used -= _size(self._kept.pop(key)[0])
        self._kept[key] = made, math.inf if made is not None else time.monotonic() + AGAIN
        self._used += _size(made)
        while self._used > self._memory:
            _, (dropped, _) = self._kept.popitem(last=False)
            self._used -= _size(dropped)
        return made


async def _rendered(text: bytes, kind: str) -> str | None:
    length = str(len(text))
    out = await answered("app.web.rendering", length, kind[:200], sent=text, deadline=DEADLINE)
    if out is None:
        logger.info("a description of %s bytes was not rendered", length)
        return None
    return out.decode("utf-8", "replace")


def _size(made: str | None) -> int:
    return 256 + len(made or "") * 2
